"""A zone's offsets as a DuckDB expression: the one place where SQL is composed, not read.

DuckDB has no binary search over a bound list. On a million events an ASOF join with the two offsets
of a year costs 20% of a query that a CASE doesn't; with the hundred of fifty years it costs 1.0 to
3.3 s against 0.1 s, and list functions more still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

_MICROSECONDS = 1_000_000


def offset_us(begins_at: Sequence[int], seconds: Sequence[int]) -> LiteralString:
    """An expression for local time minus UTC, in microseconds, at `us` microseconds since 1970.

    `begins_at` and `seconds` are those of `calendar.offsets`. The latest offset is looked at first:
    most events are recent.
    """
    latest_first = reversed(list(zip(begins_at, seconds, strict=True)))
    *later, (_, first) = latest_first
    # Nothing but whole numbers goes in: `:d` refuses anything else.
    branches = "".join(
        f" when us >= {begin * _MICROSECONDS:d} then {offset * _MICROSECONDS:d}"
        for begin, offset in later
    )
    earliest = f"{first * _MICROSECONDS:d}"
    return f"(case{branches} else {earliest} end)" if branches else earliest
