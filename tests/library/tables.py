"""Small tables of events, and what a library makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from analytics import Analytics

NOON = "2025-08-01T12:00:00Z"


def table(**columns: Sequence[Any] | pa.Array) -> pa.Table:
    """Three events of two users, with these columns instead of the usual ones; None leaves out."""
    usual = {
        "occurred_at": ["2025-08-01T10:00:00Z", NOON, "2025-08-02T10:00:00Z"],
        "user_id": ["ann", "bob", "ann"],
        "event_type": ["look", "look", "buy"],
    }
    chosen = {name: each for name, each in {**usual, **columns}.items() if each is not None}
    return pa.table(chosen)


def instants(texts: Sequence[str], **options: Any) -> list[Any]:
    """What the library takes times for: in UTC without a zone, in their order."""
    rows = len(texts)
    events = table(
        occurred_at=list(texts),
        user_id=["ann"] * rows,
        event_type=[f"{row:09d}" for row in range(rows)],
    )
    with Analytics.from_arrow(events, **options) as held:
        found = held.sql("select occurred_at from events order by event_type").rows
    return [instant for (instant,) in found]
