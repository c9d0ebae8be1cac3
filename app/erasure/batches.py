"""Many events removed, a few at a time, so that mirrors follow and nothing is held up.

A run looks once which ranges of the table's pages hold what is to go, then removes range by range,
each in a transaction of its own: after an end by force the next run finds what is left. The table
is not read again for each batch, as it would be with a LIMIT, where the removed rows before the
place reached so far are passed again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from time import monotonic
from typing import Final, NamedTuple

import asyncpg

# 2 MiB: some 20,000 events at most. Of a partitioned table, as many in all.
PAGES: Final = 256
# A mirror that syncs every two seconds is never more than half of what a question looks through
# behind (analytics.mirror.look.MOST_EVENTS).
ROWS_A_SECOND: Final = 50_000

_PARTITIONS: Final = """/* tidemark removal partitions */
select greatest(count(*), 1) from pg_partition_tree('events') where isleaf"""
_RANGES: Final = """/* tidemark removal ranges */
select (ctid::text::point)[0]::bigint / $3 as range, count(*) as rows
from events
where project_id = $1 and ($2::timestamptz is null or occurred_at < $2)
group by range
order by range"""
# The receipt of a deleted project (app.erasure.deletion) counts with each batch.
_REMOVE: Final = """/* tidemark removal */
with gone as (
    delete from events
    where ctid >= $3::text::tid and ctid < $4::text::tid
        and project_id = $1 and ($2::timestamptz is null or occurred_at < $2)
    returning 1
),
removed as (select count(*) as rows from gone),
noted as (
    update erasures
    set events = events + removed.rows, removed_xid = pg_current_xact_id(), removed_at = now()
    from removed
    where project_id = $1 and asked_by is not null and removed.rows > 0
)
select rows from removed"""


class Which(NamedTuple):
    """The events of a project, all or those that occurred before an instant."""

    project_id: int
    before: datetime | None


class Step(NamedTuple):
    """How far a removal is: events removed, of how many that were there when it began."""

    removed: int
    of: int


async def count(connection: asyncpg.Connection, which: Which) -> int:
    """How many events these are."""
    return sum(rows for _, rows in await _ranges(connection, which, PAGES))


async def remove(connection: asyncpg.Connection, which: Which) -> AsyncIterator[Step]:
    """Remove these events; each step has been committed when it is told.

    Events that come, or are rewritten elsewhere, meanwhile are left to the next run.
    """
    pages = max(PAGES // await connection.fetchval(_PARTITIONS), 1)
    ranges = await _ranges(connection, which, pages)
    removed, of = 0, sum(rows for _, rows in ranges)
    for number, _ in ranges:
        began = monotonic()
        places = (f"({number * pages},0)", f"({(number + 1) * pages},0)")
        rows = await connection.fetchval(_REMOVE, *which, *places)
        removed += rows
        yield Step(removed, of)
        await asyncio.sleep(max(0.0, rows / ROWS_A_SECOND - (monotonic() - began)))


async def _ranges(
    connection: asyncpg.Connection, which: Which, pages: int
) -> list[tuple[int, int]]:
    """Ranges of so many pages, by number, of every partition alike; and the rows to go in each."""
    return [(row["range"], row["rows"]) for row in await connection.fetch(_RANGES, *which, pages)]
