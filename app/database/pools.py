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

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from analytics.errors import Unreachable

APPLICATION = "tidemark"
DIALECT = "postgresql+asyncpg://"
CONNECT_SECONDS: Final = 5.0
ACCOUNTS_SECONDS: Final = 10.0
"""How long a transaction of accounts may take; they are a few rows each."""
CLOSE_SECONDS: Final = 5.0
"""How long a server may take to say farewell."""


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """One asyncpg connection; the caller closes it. `options` are asyncpg's own.

    A server that doesn't answer is waited for CONNECT_SECONDS.

    Raises:
        Unreachable: The server does not answer, or does not let us in; the message says which.
    """
    try:
        return await asyncpg.connect(
            url,
            server_settings={"application_name": APPLICATION},
            timeout=CONNECT_SECONDS,
            **options,
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        place = urlsplit(url)
        raise Unreachable(
            f"Postgres at {place.hostname or 'its socket'} does not let us in: "
            f"{str(error) or type(error).__name__}. "
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


async def closed(engine: AsyncEngine) -> None:
    """Close its connections; a server that hangs isn't waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await engine.dispose()


@asynccontextmanager
async def transaction(
    engine: AsyncEngine, seconds: float | None = ACCOUNTS_SECONDS
) -> AsyncIterator[AsyncConnection]:
    """One connection in one transaction, committed at the end of the block.

    It is given up after so many seconds; None: never.

    Raises:
        Unreachable: The server does not answer, or went away meanwhile.
    """
    try:
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(_connected(engine))
            if seconds is not None:
                # Its end is sudden: asyncpg would wait for the server to cancel what it does.
                raw = (await connection.get_raw_connection()).driver_connection
                assert raw is not None  # noqa: S101 - it has just been connected
                cut = asyncio.get_running_loop().call_later(seconds, raw.terminate)
                stack.callback(cut.cancel)
            await stack.enter_async_context(connection.begin())
            yield connection
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise Unreachable(f"Postgres went away: {error.orig}. Try again.") from error


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(ACCOUNTS_SECONDS):
                connection = await stack.enter_async_context(engine.connect())
        except TimeoutError as error:
            raise Unreachable(f"Postgres has not answered for {ACCOUNTS_SECONDS:.0f} s.") from error
        yield connection


def events_pool(url: str, *, size: int = 8) -> asyncpg.Pool:
    """The pool that COPY and INSERT go through; it opens at `async with`."""

    async def opened(_dsn: str, **options: Any) -> asyncpg.Connection:
        return await connect(url, **options)

    return asyncpg.create_pool(url, min_size=1, max_size=size, connect=opened)


@asynccontextmanager
async def opened_pool(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Pool]:
    """The pool, open for as long as the block lasts; its end doesn't wait for a server that hangs.

    Raises:
        Unreachable: The server does not let us in.
    """
    await pool
    try:
        yield pool
    finally:
        # What is not closed by then is dropped, by asyncpg itself.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
