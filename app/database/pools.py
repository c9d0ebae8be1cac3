"""Connections to Postgres, one kind for each purpose.

Addresses are libpq URLs: postgresql://user:password@host/database.

| for                         | driver              | role   |
|-----------------------------|---------------------|--------|
| accounts, migrations        | SQLAlchemy, asyncpg | writer, owner |
| loading events (COPY)       | asyncpg             | writer |
| questions (`analytics`)     | psycopg, DuckDB     | reader |

The last is opened by `analytics` itself; nothing here connects before it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from analytics.errors import Unreachable

APPLICATION = "tidemark"
DIALECT = "postgresql+asyncpg://"


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """One asyncpg connection; the caller closes it. `options` are asyncpg's own.

    Raises:
        Unreachable: The server does not answer, or does not let us in; the message says which.
    """
    try:
        return await asyncpg.connect(
            url, server_settings={"application_name": APPLICATION}, **options
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        place = urlsplit(url)
        raise Unreachable(
            f"Postgres at {place.hostname or 'its socket'} does not let us in: "
            f"{error or type(error).__name__}. "
            "Is it running, and is DATABASE_URL right?"
        ) from error


def sqlalchemy_engine(url: str, *, pooled: bool = True) -> AsyncEngine:
    """An engine over asyncpg.

    asyncpg reads the URL itself: SQLAlchemy's own form differs for Unix sockets.
    """

    async def creator() -> asyncpg.Connection:
        return await connect(url)

    if not pooled:
        return create_async_engine(DIALECT, async_creator=creator, poolclass=NullPool)
    # Without the ping every pooled connection fails once after a restart of the server.
    return create_async_engine(
        DIALECT, async_creator=creator, pool_size=4, max_overflow=4, pool_pre_ping=True
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One connection in one transaction, committed at the end of the block.

    Raises:
        Unreachable: The server does not answer, or went away meanwhile.
    """
    try:
        async with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise Unreachable(f"Postgres went away: {error.orig}. Try again.") from error


def events_pool(url: str, *, size: int = 8) -> asyncpg.Pool:
    """The pool that COPY and INSERT go through; it opens at `async with`."""

    async def opened(_dsn: str, **options: Any) -> asyncpg.Connection:
        return await connect(url, **options)

    return asyncpg.create_pool(url, min_size=1, max_size=size, connect=opened)
