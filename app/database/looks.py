"""Looks at Postgres that every request costs: one statement, one round trip.

Nothing else goes with it: no transaction is begun and ended around a statement that is one by
itself, and no connection is tried before it is used. The connections are no others' either, so
that loads which hold all of theirs keep nobody waiting at the door.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from analytics.errors import Unreachable
from app.database.pools import connect, opened_pool
from ingest.commit import AWAY, lent

# Looks of one kind are asked one after another (app.together), and there are two kinds.
_CONNECTIONS: Final = 2
LOOK_SECONDS: Final = 5.0
"""How long one may take, where a millisecond is the rule: every request waits for one."""


class Found(asyncpg.Record):  # type: ignore[misc] # asyncpg says nothing of its types
    """A row whose columns are attributes, as SQLAlchemy's are."""

    def __getattr__(self, name: str) -> Any:
        """The value of a column."""
        return self[name]


class Looks:
    """Asks Postgres what is so at this moment."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """Takes the connections; `looks_at` opens them."""
        self._pool = pool

    async def rows(self, statement: str, *arguments: object) -> list[Found]:
        """The rows of one statement that only reads.

        Raises:
            Unreachable: The server does not answer, or went away meanwhile.
        """
        try:
            return await self._ask(statement, arguments)
        except Unreachable:
            raise
        except AWAY:
            # Once after a restart of the server: what was open fails, and is opened anew.
            pass
        try:
            return await self._ask(statement, arguments)
        except Unreachable:
            raise
        except AWAY as error:
            raise Unreachable(f"Postgres went away: {error}. Try again.") from error

    async def _ask(self, statement: str, arguments: tuple[object, ...]) -> list[Found]:
        async with lent(self._pool, LOOK_SECONDS) as connection:
            found: list[Found] = await connection.fetch(statement, *arguments)
        return found


@asynccontextmanager
async def looks_at(url: str) -> AsyncIterator[Looks]:
    """Looks at this server, whose connections are open for as long as the block lasts.

    Raises:
        Unreachable: The server does not let us in.
    """

    async def opened(_dsn: str, **options: Any) -> asyncpg.Connection:
        return await connect(url, **options)

    pool = asyncpg.create_pool(
        url,
        min_size=1,
        max_size=_CONNECTIONS,
        connect=opened,
        reset=_keep,
        record_class=Found,
    )
    async with opened_pool(pool):
        yield Looks(pool)


async def _keep(_: asyncpg.Connection) -> None:
    """A single SELECT leaves nothing in its session that the next one would have to be rid of."""
