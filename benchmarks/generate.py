"""Seeded events shaped like a real product's: busy users, fading ones, weekends, late arrivals.

The same size and seed give the same rows on every machine; `digest` says so.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FIRST_DAY: Final = date(2025, 3, 3)
DAYS: Final = 120
EVENTS_PER_USER: Final = 33
EVENT_TYPES: Final = (
    ("page_view", 40), ("click", 22), ("search", 10), ("login", 8), ("add_to_cart", 6),
    ("share", 4), ("comment", 3), ("purchase", 3), ("upload", 2), ("invite", 1),
    ("upgrade", 0.7), ("cancel", 0.3),
)  # fmt: skip
LATE_SHARE: Final = 0.02
HALF_LIFE_DAYS: Final = 14.0
DIGESTS: Final = {
    1_000_000: "e5d284dcc51a744281a151adc4e0e9be134a085d0df14fbaf78fb963b088c143",
    10_000_000: "88a80e54e4dc047a28edb810489a913e12f1df56eafcb392e5a076bab66f18f1",
}
"""What `digest` says of the events that were measured before, by their number."""


def events(size: int, seed: int = 20250303) -> pa.Table:
    """`size` events of about size/33 users over 120 days, in order of arrival.

    Users arrive over the whole span and fade with a half-life of two weeks; their activity is
    skewed (log-normal), and weekends see 60% of a weekday's events. Two percent arrive up to three
    days late.

    Returns:
        Columns event_id (16 bytes), occurred_at (timestamp[us, UTC]), user_id, event_type,
        properties (JSON text).
    """
    rng = np.random.default_rng(seed)
    users = max(1, size // EVENTS_PER_USER)
    arrived = rng.uniform(0, DAYS, users)
    user = _skewed(rng, arrived, size)
    day = _weekday_rhythm(rng, _fading(rng, arrived[user]))
    second_of_day = np.clip(rng.normal(54_000, 14_400, size), 0, 86_399.999)
    occurred = (day * 86_400 + second_of_day) * 1_000_000
    arrival = occurred + (rng.random(size) < LATE_SHARE) * rng.uniform(0, 3 * 86_400e6, size)
    order = np.argsort(arrival, kind="stable")
    start = (
        int(datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC).timestamp())
        * 1_000_000
    )
    weights = np.array([weight for _, weight in EVENT_TYPES])
    kinds = rng.choice(len(EVENT_TYPES), size, p=weights / weights.sum())
    names = pa.array([name for name, _ in EVENT_TYPES])
    return pa.table(
        {
            "event_id": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), size, [None, pa.py_buffer(rng.bytes(16 * size))]
            ),
            "occurred_at": pa.array(
                start + occurred[order].astype(np.int64), pa.timestamp("us", "UTC")
            ),
            "user_id": _user_ids(user[order]),
            "event_type": names.take(pa.array(kinds)),
            "properties": pa.array(["{}"]).take(pa.array(np.zeros(size, np.int64))),
        }
    )


def measured_events(size: int) -> pa.Table:
    """`events(size)`, seen to be those that were measured before, where that is known.

    Raises:
        AssertionError: numpy has made other ones.
    """
    rows = events(size)
    if size in DIGESTS:
        assert digest(rows) == DIGESTS[size], (
            "the generator made other events than those measured before"
        )
    return rows


def digest(table: pa.Table) -> str:
    """SHA-256 over the rows, to show that two machines measured the same."""
    found = hashlib.sha256()
    for batch in table.combine_chunks().to_batches():
        for column in batch.columns:
            for buffer in column.buffers():
                if buffer is not None:
                    found.update(buffer)
    return found.hexdigest()


def _skewed(rng: np.random.Generator, arrived: Floats, size: int) -> Integers:
    """Who does each event: everybody once, then the busy, and those with time left, more often."""
    users = arrived.size
    weight = rng.lognormal(0.0, 1.2, users) * _share_of_life(arrived)
    chosen = np.searchsorted(np.cumsum(weight / weight.sum()), rng.random(size - min(users, size)))
    return np.concatenate([np.arange(min(users, size)), np.minimum(chosen, users - 1)])


def _share_of_life(arrived: Floats) -> Floats:
    """How much of a user's fading activity falls within the span."""
    return 1 - np.exp2(-(DAYS - arrived) / HALF_LIFE_DAYS)


def _fading(rng: np.random.Generator, arrived: Floats) -> Floats:
    """A time between a user's arrival and the end of the span, half as likely every two weeks."""
    return arrived - HALF_LIFE_DAYS * np.log2(
        1 - rng.random(arrived.size) * _share_of_life(arrived)
    )


def _weekday_rhythm(rng: np.random.Generator, day: Floats) -> Integers:
    """Whole days; four in ten weekend events move to the Thursday or Friday before."""
    whole = np.minimum(np.floor(day), DAYS - 1).astype(np.int64)
    weekend = whole % 7 >= 5
    return np.where(weekend & (rng.random(day.size) < 0.4), whole - 2, whole)


def _user_ids(user: Integers) -> pa.Array:
    """`user_` and seven digits; a gather of bytes, for a Python-free 50M rows fit in memory so."""
    digits = np.char.zfill(np.arange(user.max() + 1).astype("S7"), 7)
    names = np.char.add(b"user_", digits)
    ends = np.arange(user.size + 1, dtype=np.int32) * names.itemsize
    return pa.StringArray.from_buffers(user.size, pa.py_buffer(ends), pa.py_buffer(names[user]))
