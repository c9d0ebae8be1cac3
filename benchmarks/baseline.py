"""SQL's best conditions: a copy of the table with every index that helps, and settings to match.

The engine `postgres` runs its own statements on the copy: its address puts the copy's schema first
on the search path. Tried on 10M events, two cores, everything in memory, and left as is best:

- Covering indexes. A vacuumed table is read by index-only scans, where the planner likes them. It
  takes (project_id, user_id, occurred_at) for users over all days, and (project_id, occurred_at)
  with the user for a week.
- 1 GB for a hash. Below 320 MB the distinct users of 120 days spill to disk.
- Two parallel workers; one or three are no faster on two cores.
- No jit, which the engine turns off itself: it made 120 days of DAU take 11.4 s instead of 5.6.
"""

from __future__ import annotations

from typing import Final, LiteralString
from urllib.parse import quote

import psycopg

SERVER: Final = {"effective_cache_size": "12GB", "max_wal_size": "16GB"}
SHARED_BUFFERS_MB: Final = 4096
SESSION: Final = {
    "search_path": "baseline",
    "work_mem": "1GB",
    "hash_mem_multiplier": "2",
    "max_parallel_workers_per_gather": "2",
}
INDEXES: Final[tuple[LiteralString, ...]] = (
    "create unique index on baseline.events (project_id, event_id)",
    "create index on baseline.events (project_id, occurred_at) include (user_id)",
    "create index on baseline.events (project_id, occurred_at, event_type)",
    "create index on baseline.events (project_id, user_id, occurred_at)",
)
_COPY: Final[tuple[LiteralString, ...]] = (
    "create schema baseline",
    "grant usage on schema baseline to public",
    "create table baseline.events as table public.events",
    "grant select on baseline.events to public",
)
# A checkpoint here is not one while something is measured.
_SETTLE: Final[tuple[LiteralString, ...]] = (
    "vacuum (analyze) baseline.events",
    "checkpoint",
)


def prepare(admin: str) -> None:
    """Make the copy, with its indexes, from the events there are now."""
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("set maintenance_work_mem = '1GB'")
        for statement in (*_COPY, *INDEXES, *_SETTLE):
            connection.execute(statement)


def address(reader: str) -> str:
    """The reader's address, under which `events` is the copy."""
    options = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    return f"{reader}{'&' if '?' in reader else '?'}options={quote(options)}"
