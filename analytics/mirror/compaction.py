"""One sorted run out of many small ones, once enough has piled up.

Every sync adds a run. In `user_days` a user who is active all day gets a row with each of them, so
it grows as fast as `events`; in `events` the rows of removed events only carry a mark. Rewriting a
table costs about a second for five million rows, so it waits until a good part would be won.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from analytics.mirror.store import Cursor, Store

USER_DAYS_SHARE, LEAST_USER_DAYS = 0.5, 500_000
REMOVED_SHARE, LEAST_REMOVED = 0.2, 100_000

TIMEOUT: Final = timedelta(seconds=30)
_SIZES: Final = """/* tidemark mirror sizes */
select
    (select estimated_size from duckdb_tables() where table_name = 'user_days') as user_days,
    (select estimated_size from duckdb_tables() where table_name = 'events') as events"""
_USER_DAYS: Final = """/* tidemark mirror compact user_days */
create table compacted as
select project_id, day, user_key, sum(events)::bigint as events
from user_days
group by all
having sum(events) <> 0
order by all"""
_EVENTS: Final = """/* tidemark mirror compact events */
create table compacted as
select * from events order by project_id, day, type_key, user_key, occurred_at"""


@dataclass(slots=True)
class Piled:
    """What was added since the last compaction: rows of `user_days`, and removed events."""

    user_days: int = 0
    removed: int = 0


def compact(store: Store, piled: Piled) -> bool:
    """Rewrite what has piled up past its share, and count anew; whether anything was rewritten.

    Raises:
        MirrorBroken, MirrorUnavailable: see `Store.writing`; nothing is lost.
    """
    if piled.user_days <= LEAST_USER_DAYS and piled.removed <= LEAST_REMOVED:
        return False
    with store.reading(TIMEOUT) as (cursor, _):
        row = cursor.execute(_SIZES).fetchone()
    assert row is not None  # noqa: S101 - a select without from has one row
    user_days, events = row
    many_days = piled.user_days > max(LEAST_USER_DAYS, USER_DAYS_SHARE * user_days)
    many_removed = piled.removed > max(LEAST_REMOVED, REMOVED_SHARE * events)
    if not many_days and not many_removed:
        return False
    with store.writing(large=True) as cursor:
        if many_days:
            _rewrite(cursor, "user_days", _USER_DAYS)
        if many_removed:
            _rewrite(cursor, "events", _EVENTS)
    if many_days:
        piled.user_days = 0
    if many_removed:
        piled.removed = 0
    store.checkpoint()
    return True


def _rewrite(cursor: Cursor, table: str, statement: str) -> None:
    cursor.execute(statement)
    cursor.execute(f"drop table {table}")
    cursor.execute(f"alter table compacted rename to {table}")
