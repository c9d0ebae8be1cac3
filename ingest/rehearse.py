"""A load that writes nothing: what it would insert is found out in temporary tables.

The ids of all batches are kept in one, as Postgres would keep them in the key, so that the counts
are those of a real load, as of now. Rows go over the wire as in a real load; each batch is a
transaction of its own, so that a long rehearsal holds nobody up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg

from ingest.commit import AWAY, ContactLost
from ingest.copy import Written, copy_staged

_CREATE_SEEN: Final = "create temp table rehearsed_events (event_id uuid primary key)"
_COUNT_NEW: Final = """
    insert into pg_temp.rehearsed_events (event_id)
    select event_id
    from pg_temp.staged_events as staged
    where not exists (
        select from events
        where events.project_id = staged.project_id and events.event_id = staged.event_id
    )
    on conflict do nothing
"""
_DROP_SEEN: Final = "drop table if exists pg_temp.rehearsed_events"  # of an earlier one


class Rehearsal:
    """Takes batches as ingest.copy.BatchWriter does, and only counts."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def write(self, encoded: bytes, rows: int) -> Written:
        """Counts encoded rows with distinct ids.

        Raises:
            ContactLost: The connection is gone, and with it the ids seen so far.
            asyncpg.PostgresError: Postgres refuses the rows.
        """
        del rows
        try:
            async with self._connection.transaction(isolation="read_committed"):
                await copy_staged(self._connection, encoded)
                status = await self._connection.execute(_COUNT_NEW)
        except AWAY as error:
            raise ContactLost(str(error)) from error
        return Written(int(status.rpartition(" ")[2]), staged=True)


@asynccontextmanager
async def rehearsal(pool: asyncpg.Pool) -> AsyncIterator[Rehearsal]:
    """A rehearsal on one connection of the pool.

    Raises:
        ContactLost: Postgres does not answer.
    """
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(pool.acquire())
            await connection.execute(_DROP_SEEN)
            await connection.execute(_CREATE_SEEN)
        except AWAY as error:
            raise ContactLost(str(error)) from error
        yield Rehearsal(connection)
