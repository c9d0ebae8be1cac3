"""Loads while connections break and processes die: counts and table are the same as ever."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from uuid import UUID

import asyncpg
import psycopg
import pytest

from analytics.events import ProjectId
from ingest import commit, group, small
from ingest.errors import LoadInterrupted
from ingest.load import LoadOptions, load
from ingest.policy import OnReject
from ingest.report import Progress, Report
from ingest.small import SmallWriter
from ingest.sources.csv import CsvSource
from ingest.sources.jsons import read_json
from tests.conftest import Database
from tests.integration.proxy import Lost, Proxy
from tests.unit.ingest.rows import HEADER, csv_file, event_id, row

PROJECT = ProjectId(7)
ROWS = [row(number) for number in range(1, 10)]
INSERT = (
    "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
    " values (7, $1, now(), 'other', 'x')"
)
FIRST_COMMIT_TAKES_A_SECOND = """
create sequence commits;
grant usage on commits to public;
create function be_slow() returns trigger language plpgsql as $$
begin
    if nextval('commits') = 1 then
        perform pg_sleep(1);
    end if;
    return null;
end $$;
create constraint trigger be_slow after insert on events
    deferrable initially deferred for each row execute function be_slow()
"""
LOAD_IN_A_PROCESS = """
import asyncio, sys
import asyncpg
from pathlib import Path
from ingest.load import LoadOptions, load
from ingest.sources.formats import open_file

async def main():
    async with asyncpg.create_pool(sys.argv[1], min_size=0) as pool:
        with open_file(Path(sys.argv[2])) as source:
            await load(source, project_id=7, pool=pool, options=LoadOptions(batch_rows=3))

asyncio.run(main())
"""


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    with (
        tempfile.TemporaryDirectory(prefix="proxy-") as folder,  # a socket's path is short
        Proxy(database.writer, Path(folder)) as running,
    ):
        yield running


async def load_rows(url: str, progress: Progress | None = None) -> Report:
    async with asyncpg.create_pool(url, min_size=0, max_size=2) as pool:
        source = CsvSource(BytesIO(csv_file(ROWS)))
        options = LoadOptions(batch_rows=3)
        return await load(source, project_id=PROJECT, pool=pool, options=options, progress=progress)


def counts(report: Report) -> tuple[int, ...]:
    return report.rows, report.inserted, report.duplicates, report.rejected, report.staged_batches


def stored(database: Database) -> list[tuple[str, str]]:
    with psycopg.connect(database.reader) as connection:
        query = "select event_id::text, user_id from events where project_id = 7 order by event_id"
        return connection.execute(query).fetchall()


ALL = [(cells[0], cells[2]) for cells in ROWS]


@asynccontextmanager
async def somebody_in_the_way(database: Database, number: int) -> AsyncIterator[asyncpg.Connection]:
    """Holds this id in an open transaction, which is rolled back in the end."""
    other = await asyncpg.connect(database.admin)
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(INSERT, event_id(number))
        yield other
        await transaction.rollback()
    finally:
        await other.close()


async def until_somebody_waits(connection: asyncpg.Connection) -> int:
    """The process of Postgres that waits for a lock."""
    waiting = "select min(pid) from pg_locks where not granted"
    while (pid := await connection.fetchval(waiting)) is None:  # noqa: ASYNC110 - in Postgres
        await asyncio.sleep(0.01)
    return int(pid)


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_commit_without_an_answer_is_counted_as_what_became_of_it(
    database: Database, proxy: Proxy, number: int, lost: Lost
) -> None:
    proxy.lose = number, lost
    report = await load_rows(proxy.url)
    assert counts(report) == (9, 9, 0, 0, 1)  # written again, by way of the staging table
    assert proxy.commits == 4
    assert stored(database) == ALL


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_staged_commit_without_an_answer_is_counted_too(
    database: Database, proxy: Proxy, lost: Lost
) -> None:
    async with asyncpg.create_pool(database.writer, min_size=0) as pool:
        source = CsvSource(BytesIO(csv_file([row(2), row(3), row(6)])))
        await load(source, project_id=PROJECT, pool=pool)
    proxy.lose = 2, lost
    report = await load_rows(proxy.url)
    assert counts(report) == (9, 6, 3, 0, 3)
    assert stored(database) == ALL


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("copy_from", [0, 1 << 30], ids=["copy", "insert"])
async def test_events_of_a_request_without_an_answer_are_told_apart_too(
    database: Database,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    copy_from: int,
    number: int,
    lost: Lost,
) -> None:
    monkeypatch.setattr(small, "COPY_FROM_ROWS", copy_from)
    proxy.lose = number, lost
    async with asyncpg.create_pool(proxy.url, min_size=0) as pool:
        writer = SmallWriter(pool)

        async def write(*numbers: int) -> tuple[list[UUID], list[UUID]]:
            events = [dict(zip(HEADER[:-1], row(each), strict=False)) for each in numbers]
            batch = read_json(json.dumps(events).encode())
            result = await writer.write(PROJECT, batch, OnReject.ABORT)
            return result.inserted, result.duplicates

        def ids(*numbers: int) -> list[UUID]:
            return [UUID(event_id(each)) for each in numbers]

        assert await write(1, 2, 3) == (ids(1, 2, 3), [])
        assert await write(2, 4, 5) == (ids(4, 5), ids(2))
    assert stored(database) == ALL[:5]


@pytest.mark.parametrize("copy_from", [0, 1 << 30], ids=["copy", "insert"])
async def test_a_commit_that_goes_on_without_its_caller_is_waited_for(
    database: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, copy_from: int
) -> None:
    with psycopg.connect(database.owner) as owner:
        owner.execute(FIRST_COMMIT_TAKES_A_SECOND)
    monkeypatch.setattr(small, "COPY_FROM_ROWS", copy_from)
    monkeypatch.setattr(group, "GROUP_PATIENCE", "50ms")
    proxy.lose = 1, "caller"
    async with asyncpg.create_pool(proxy.url, min_size=0) as pool:
        events = [dict(zip(HEADER[:-1], row(each), strict=False)) for each in (1, 2, 3)]
        batch = read_json(json.dumps(events).encode())
        result = await SmallWriter(pool).write(PROJECT, batch)
    assert result.inserted == [UUID(event_id(each)) for each in (1, 2, 3)]
    assert proxy.commits == 2
    assert stored(database) == ALL[:3]


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("number", [1, 2])
async def test_a_number_that_somebody_else_has_now_proves_nothing(
    database: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, number: int, lost: Lost
) -> None:
    """After a crash or a failover, later transactions get the numbers of those that are gone."""
    async with asyncpg.create_pool(database.writer, min_size=0) as pool:
        theirs = await pool.fetchval(f"{INSERT} returning ingest_xid::text", event_id(100))
    own = commit._number
    transactions = itertools.count(1)

    async def reused(connection: asyncpg.Connection, lock_timeout: str | None) -> str:
        found = await own(connection, lock_timeout)
        return str(theirs) if next(transactions) == number else found

    monkeypatch.setattr(commit, "_number", reused)
    proxy.lose = number, lost
    report = await load_rows(proxy.url)
    assert report.inserted == (9 if lost == "request" else 6)
    assert stored(database)[:-1] == ALL


async def test_connections_closed_between_batches_cost_nothing(database: Database) -> None:
    def close_all(_: Report) -> None:
        with psycopg.connect(database.admin, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where usename = 'tidemark_writer' and datname = current_database()"
            )

    report = await load_rows(database.writer, progress=close_all)
    assert counts(report) == (9, 9, 0, 0, 0)
    assert stored(database) == ALL


async def test_a_connection_closed_during_copy_costs_a_retry(database: Database) -> None:
    async with somebody_in_the_way(database, 5) as other:
        loading = asyncio.create_task(load_rows(database.writer))
        pid = await until_somebody_waits(other)
        assert await other.fetchval("select pg_terminate_backend($1, 5000)", pid)
    assert counts(await loading) == (9, 9, 0, 0, 0)
    assert stored(database) == ALL


async def test_a_load_gives_up_when_postgres_stays_away(
    database: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "_WAITS", (0.0, 0.01, 0.01))
    proxy.lose = 2, "request"

    def close(report: Report) -> None:
        if report.batches == 1:
            proxy.close()

    with pytest.raises(LoadInterrupted) as interrupted:
        await load_rows(proxy.url, progress=close)
    assert counts(interrupted.value.report) == (3, 3, 0, 0, 0)
    assert "3 rows before are in the table; run it again" in str(interrupted.value)
    assert stored(database) == ALL[:3]
    assert counts(await load_rows(database.writer)) == (9, 6, 3, 0, 2)


async def test_a_killed_load_is_finished_by_the_next(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(csv_file(ROWS))
    command = [sys.executable, "-c", LOAD_IN_A_PROCESS, database.writer, str(file)]
    async with somebody_in_the_way(database, 5) as other:
        with subprocess.Popen(command) as process:  # noqa: ASYNC220 - it is killed, not awaited
            await until_somebody_waits(other)
            process.kill()
    assert stored(database) == ALL[:3]
    report = await load_rows(database.writer)
    assert counts(report) == (9, 6, 3, 0, 2)
    assert stored(database) == ALL
