"""Files of every format into a real table: at once, twice, rehearsed, and without ids."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest

from analytics.events import ProjectId
from ingest.columns import AS_NAMED, ColumnOptions
from ingest.errors import LoadInterrupted
from ingest.load import LoadOptions, load
from ingest.report import Report
from ingest.sources.formats import announced_by_name, open_stream
from ingest.sources.source import SourceOptions
from tests.conftest import Database
from tests.format_matrix import EVENTS, MATRIX, SIZE, Case
from tests.unit.ingest.rows import csv_file, event_id, row

PROJECT = ProjectId(7)
MANY = 20_000
PLAIN = [case for case in MATRIX if case.compression is None]


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database.writer, min_size=0, max_size=8) as opened:
        yield opened


@pytest.fixture(scope="module")
def many() -> list[dict[str, Any]]:
    """Events with their ids in no order."""
    path = Path(__file__).parents[1] / "fixtures" / "data" / "git_rails.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = list(islice(csv.DictReader(file), MANY))
    return [{**cells, "properties": json.loads(cells["properties"])} for cells in rows]


async def load_content(
    pool: asyncpg.Pool,
    name: str,
    content: bytes,
    columns: ColumnOptions = AS_NAMED,
    **more: Any,
) -> Report:
    options = SourceOptions(columns)
    with open_stream(io.BytesIO(content), announced_by_name(name), options) as source:
        return await load(source, project_id=PROJECT, pool=pool, options=LoadOptions(**more))


def count(database: Database) -> int:
    with psycopg.connect(database.reader) as connection:
        (found,) = connection.execute("select count(*) from events").fetchone() or (0,)
    return int(found)


@pytest.mark.parametrize("case", PLAIN, ids=str)
async def test_three_loads_of_one_file_at_once_insert_each_row_once(
    pool: asyncpg.Pool, database: Database, many: list[dict[str, Any]], case: Case
) -> None:
    content = case.of(many)
    sizes = (13_000, 6_000, 1_400)
    reports = await asyncio.gather(
        *(load_content(pool, case.name, content, batch_rows=size) for size in sizes)
    )
    assert [report.rows for report in reports] == [MANY] * 3
    assert sum(report.inserted for report in reports) == MANY
    assert sum(report.duplicates for report in reports) == 2 * MANY
    assert count(database) == MANY


async def test_a_file_is_the_same_events_in_whatever_format(
    pool: asyncpg.Pool, database: Database
) -> None:
    inserted = [(await load_content(pool, case.name, case.content)).inserted for case in MATRIX]
    assert inserted == [SIZE] + [0] * (len(MATRIX) - 1)


@pytest.mark.parametrize("case", PLAIN, ids=str)
async def test_equal_rows_without_ids_are_as_many_events_however_often_they_are_loaded(
    pool: asyncpg.Pool, database: Database, case: Case
) -> None:
    rows = [EVENTS[number % 3] for number in range(10)]
    reports = [
        await load_content(
            pool, case.name, case.of(rows), ColumnOptions(derive_ids=True), batch_rows=size
        )
        for size in (4, 100)
    ]
    assert [(report.inserted, report.duplicates) for report in reports] == [(10, 0), (0, 10)]
    assert count(database) == 10


async def test_a_rehearsal_counts_as_the_load_does_and_writes_nothing(
    pool: asyncpg.Pool, database: Database
) -> None:
    await load_content(pool, "a.csv", csv_file([row(2), row(5)]))
    numbers = [1, 2, 3, 1, 4, 5, 6, 3, 7]
    content = csv_file([*map(row, numbers), row(8, user_id="")])
    reports = [
        await load_content(pool, "b.csv", content, batch_rows=2, rehearse=rehearse)
        for rehearse in (True, True, False)
    ]
    assert [
        (report.rows, report.inserted, report.duplicates, report.rejected) for report in reports
    ] == [(10, 5, 4, 1)] * 3
    assert count(database) == 7


async def test_a_rehearsal_that_loses_its_connection_says_so(
    pool: asyncpg.Pool, database: Database
) -> None:
    def close_all(_: Report) -> None:
        with psycopg.connect(database.admin, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where usename = 'tidemark_writer' and datname = current_database()"
            )

    content = csv_file(map(row, range(10)))
    options = LoadOptions(batch_rows=2, rehearse=True)
    with (
        open_stream(io.BytesIO(content), announced_by_name("a.csv")) as source,
        pytest.raises(LoadInterrupted, match="Postgres went away during the load"),
    ):
        await load(source, project_id=PROJECT, pool=pool, options=options, progress=close_all)
    assert count(database) == 0
    assert (await load_content(pool, "a.csv", content)).inserted == 10


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
async def test_of_equal_ids_the_first_of_the_file_counts_by_every_way(
    pool: asyncpg.Pool, database: Database, batch_rows: int
) -> None:
    made = [(3, "a"), (1, "b"), (3, "c"), (2, "d"), (1, "e")]
    events = [{**EVENTS[0], "event_id": event_id(number), "user_id": user} for number, user in made]
    for case in PLAIN:
        with psycopg.connect(database.admin) as connection:
            connection.execute("delete from events")
        report = await load_content(pool, case.name, case.of(events), batch_rows=batch_rows)
        assert (report.inserted, report.duplicates) == (3, 2)
        with psycopg.connect(database.reader) as connection:
            users = connection.execute("select user_id from events order by event_id").fetchall()
        assert users == [("b",), ("d",), ("a",)]


async def test_instants_and_ids_arrive_as_they_were_given(
    pool: asyncpg.Pool, database: Database
) -> None:
    (parquet,) = [case for case in PLAIN if case.format == "parquet"]
    await load_content(pool, parquet.name, parquet.content)
    query = "select event_id, occurred_at from events"
    with psycopg.connect(database.reader) as connection:
        stored = dict(connection.execute(query).fetchall())
    assert stored == {
        UUID(event["event_id"]): datetime.fromisoformat(event["occurred_at"]) for event in EVENTS
    }
