"""Batches of events into the table by COPY: straight in, or by way of a staging table.

Straight in is twice as fast, but one id that is there already fails the whole batch. Then the batch
goes into a temporary table and from there, `on conflict do nothing`. Figures: docs/adr/0004.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import asyncpg

from ingest.commit import Numbers, committed
from ingest.encode import COPIED_COLUMNS

_MESSAGE_BYTES: Final = 1 << 19
_TEMPORARY: Final = "pg_temp"
_STAGING: Final = "staged_events"
_CREATE_STAGING: Final = """
    create temp table if not exists staged_events (
        project_id integer, event_id uuid, occurred_at timestamptz,
        user_id text collate "C", event_type text collate "C", properties jsonb
    ) on commit delete rows
"""
# In the order of the key, as straight COPY is: see ingest.distinct.
_INSERT_STAGED: Final = """
    insert into events (project_id, event_id, occurred_at, user_id, event_type, properties)
    select project_id, event_id, occurred_at, user_id, event_type, properties
    from pg_temp.staged_events
    order by event_id
    on conflict do nothing
"""
# Staged rows that are in the table, written by one of these transactions.
_OWN: Final = """
    from pg_temp.staged_events join events using (project_id, event_id)
    where ingest_xid = any ($1::text[]::xid8[])
"""


class Written(NamedTuple):
    """What became of a batch: rows that are new in the table, and the way they went."""

    inserted: int
    staged: bool


class BatchWriter:
    """Writes one batch after the other, each in a transaction of its own.

    Duplicates come in runs: a file loaded again has nothing else. So after a violation batches are
    staged until one of them had no duplicates.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._expects_duplicates = False

    async def write(self, encoded: bytes, rows: int) -> Written:
        """Writes encoded rows with distinct ids, in the order of their ids, and commits.

        Raises:
            ContactLost: See ingest.commit.
            asyncpg.PostgresError: Postgres refuses the rows.
        """

        async def straight(connection: asyncpg.Connection, earlier: Numbers) -> Written:
            if earlier:
                return await staged(connection, earlier)
            await copy_straight(connection, encoded)
            return Written(rows, staged=False)

        async def staged(connection: asyncpg.Connection, earlier: Numbers) -> Written:
            await copy_staged(connection, encoded)
            status = await connection.execute(_INSERT_STAGED)
            own = await connection.fetchval(f"select count(*) {_OWN}", earlier) if earlier else 0
            return Written(int(status.rpartition(" ")[2]) + own, staged=True)

        if not self._expects_duplicates:
            try:
                return await committed(self._pool, straight)
            except asyncpg.UniqueViolationError:
                self._expects_duplicates = True
        written = await committed(self._pool, staged)
        self._expects_duplicates = written.inserted < rows
        return written


async def copy_straight(connection: asyncpg.Connection, encoded: bytes) -> None:
    """Copies encoded rows into the events table.

    Raises:
        asyncpg.UniqueViolationError: One of them is there already.
    """
    await _copy(connection, encoded, "events")


async def copy_new(connection: asyncpg.Connection, encoded: bytes, earlier: Numbers) -> set[bytes]:
    """Copies those encoded rows that are new, by way of the staging table, and returns their ids.

    Within the caller's transaction; the rows have distinct ids. Those that `earlier` ones of the
    caller's transactions wrote are new too.
    """
    await copy_staged(connection, encoded)
    new = await connection.fetch(_INSERT_STAGED + "returning event_id")
    own = await connection.fetch(f"select event_id {_OWN}", earlier) if earlier else []
    return {row[0].bytes for row in (*new, *own)}


async def copy_staged(connection: asyncpg.Connection, encoded: bytes) -> None:
    """Copies encoded rows into the staging table, which holds them to the transaction's end."""
    await connection.execute(_CREATE_STAGING)
    await _copy(connection, encoded, _STAGING, schema_name=_TEMPORARY)


async def _copy(
    connection: asyncpg.Connection, encoded: bytes, table: str, schema_name: str | None = None
) -> None:
    await connection.copy_to_table(
        table,
        schema_name=schema_name,
        columns=COPIED_COLUMNS,
        format="binary",
        source=_messages(encoded),
    )


async def _messages(content: bytes) -> AsyncIterator[memoryview]:
    """In pieces, so that asyncpg waits for the server in between."""
    view = memoryview(content)
    for start in range(0, len(view), _MESSAGE_BYTES):
        yield view[start : start + _MESSAGE_BYTES]
