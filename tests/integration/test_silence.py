"""A server that doesn't answer is given up in time, and its connection with it.

`pg_sleep` keeps as silent as a server that hangs, but can be cancelled; a `Proxy` that hangs
passes nothing on; tests/faults/test_hang.py has a server that does hang.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import sleep

import asyncpg
import psycopg
import pytest
from psycopg_pool import ConnectionPool
from sqlalchemy import text

from analytics.errors import Unreachable
from analytics.sessions import Borrowed, Connection, Sessions
from app.database.looks import looks_at
from app.database.pools import closed, events_pool, opened_pool, sqlalchemy_engine, transaction
from ingest.commit import ContactLost, Numbers, committed, lent
from tests.conftest import Database
from tests.integration.proxy import Proxy

SHORT = 0.2
SILENT = "select pg_sleep(30)"
# Servers of connections that were dropped sleep on, so this one has a text of its own.
CUT = "select pg_sleep(30) as cut"
SLEEPERS = "select 1 from pg_stat_activity where state = 'active' and query = %s"


@pytest.fixture
def wire(module_database: Database) -> Iterator[Proxy]:
    with (
        tempfile.TemporaryDirectory(prefix="wire-") as folder,  # a socket's path is short
        Proxy(module_database.writer, Path(folder)) as running,
    ):
        yield running


def wait_for_sleeper(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as watching:
        while watching.execute(SLEEPERS, [CUT]).fetchone() is None:
            sleep(0.01)


async def silent(connection: asyncpg.Connection) -> None:
    await connection.execute(SILENT)


async def test_connection_is_lent_for_a_time_and_the_next_borrower_has_another(
    module_database: Database,
) -> None:
    async with opened_pool(events_pool(module_database.writer, size=1)) as pool:
        with pytest.raises(Unreachable, match="has not answered"):
            async with lent(pool, SHORT) as connection:
                await silent(connection)
        async with lent(pool, 10) as connection:
            assert await connection.fetchval("select 1") == 1


async def test_time_in_which_no_connection_is_free_counts(module_database: Database) -> None:
    async with opened_pool(events_pool(module_database.writer, size=1)) as pool, lent(pool, 10):
        with pytest.raises(Unreachable, match="has not answered"):
            async with lent(pool, SHORT):
                pytest.fail("two have the same connection")


async def test_borrower_who_is_cancelled_goes_in_time_though_the_server_does_not_hear_of_it(
    wire: Proxy,
) -> None:
    async def ask(pool: asyncpg.Pool) -> None:
        async with lent(pool, 2 * SHORT) as connection:
            await connection.fetchval("select 1")
            wire.hang()
            await silent(connection)

    async with opened_pool(events_pool(wire.url, size=1)) as pool, asyncio.timeout(10):
        asking = asyncio.create_task(ask(pool))
        await asyncio.wait({asking}, timeout=SHORT)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        wire.go_on()
        async with lent(pool, 10) as other:
            assert await other.fetchval("select 1") == 1


async def test_what_was_answered_stays_so_though_the_connection_can_not_be_given_back(
    wire: Proxy,
) -> None:
    async def work(connection: asyncpg.Connection, _: Numbers) -> int:
        return int(await connection.fetchval("select 1"))

    async with opened_pool(events_pool(wire.url, size=1)) as pool, asyncio.timeout(10):
        wire.hang_behind = b"COMMIT"
        assert await committed(pool, work, seconds=5 * SHORT) == 1
        assert wire.hangs
        wire.go_on()
        assert await committed(pool, work) == 1


async def test_transaction_that_gets_no_answer_is_not_tried_again(
    module_database: Database,
) -> None:
    tries = 0

    async def work(connection: asyncpg.Connection, _: Numbers) -> None:
        nonlocal tries
        tries += 1
        await silent(connection)

    async with opened_pool(events_pool(module_database.writer)) as pool:
        with pytest.raises(ContactLost, match="has not answered"):
            await committed(pool, work, seconds=SHORT)
    assert tries == 1


async def test_transaction_of_accounts_ends_in_time(module_database: Database) -> None:
    engine = sqlalchemy_engine(module_database.writer)
    try:
        with pytest.raises(Unreachable):
            async with transaction(engine, SHORT) as connection:
                await connection.execute(text(SILENT))
        async with transaction(engine) as connection:
            assert (await connection.execute(text("select 1"))).scalar_one() == 1
    finally:
        await closed(engine)


async def test_look_ends_in_time(
    module_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.looks.LOOK_SECONDS", SHORT)
    async with looks_at(module_database.writer) as looks:
        with pytest.raises(Unreachable, match="has not answered"):
            await looks.rows(SILENT)
        assert [row.one for row in await looks.rows("select 1 as one")] == [1]


def test_session_is_cut_off_in_time_and_not_kept(module_database: Database) -> None:
    with closing(Sessions(module_database.reader, "test")) as sessions:
        with (
            pytest.raises(psycopg.OperationalError, match=r"has not answered for 0\.2 s"),
            sessions.connection(timedelta(seconds=SHORT)) as connection,
        ):
            connection.execute(SILENT)
        with sessions.connection(timedelta(seconds=10)) as other:
            assert other is not connection
            assert other.execute("select 1").fetchone() == (1,)


def test_connection_of_a_borrowed_pool_is_cut_off_in_time_and_replaced(
    module_database: Database,
) -> None:
    with ConnectionPool[Connection](module_database.reader, min_size=1, max_size=1) as pool:
        sessions = Borrowed(pool)
        with (
            pytest.raises(psycopg.OperationalError, match=r"has not answered for 0\.2 s"),
            sessions.connection(timedelta(seconds=SHORT)) as connection,
        ):
            connection.execute(SILENT)
        sessions.close()
        with pool.connection() as other:
            assert other is not connection
            assert other.execute("select 1").fetchone() == (1,)


async def test_sessions_in_use_can_be_cut_from_another_thread(module_database: Database) -> None:
    def ask(sessions: Sessions) -> None:
        with sessions.connection() as connection:
            connection.execute(CUT)

    with closing(Sessions(module_database.reader, "test")) as sessions:
        asking = asyncio.create_task(asyncio.to_thread(ask, sessions))
        await asyncio.to_thread(wait_for_sleeper, module_database.admin)
        sessions.cut()
        with pytest.raises(psycopg.OperationalError):
            await asking
