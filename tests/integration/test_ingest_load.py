"""Loads into a real table: exact counts and rows, whatever was there and whoever else writes."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from analytics.events import ProjectId
from ingest.encode import Encoder, default_encoder
from ingest.errors import InputEndedBadly, LoadRefused
from ingest.load import LoadOptions, load
from ingest.rejects import Code, Reject
from ingest.report import Report
from ingest.sources.csv import CsvSource
from ingest.sources.formats import open_file
from ingest.sources.jsons import JsonSource
from tests.conftest import Database
from tests.unit.ingest.rows import ENCODERS, csv_file, event_id, row

PROJECT = ProjectId(7)
COUNTS = ("rows", "inserted", "duplicates", "rejected", "batches", "staged_batches")


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database.writer, min_size=0, max_size=4) as opened:
        yield opened


async def load_rows(
    pool: asyncpg.Pool, rows: Iterable[Sequence[str]], batch_rows: int = 1000, **more: Any
) -> Report:
    options = LoadOptions(batch_rows=batch_rows, encoder=more.pop("encoder", default_encoder()))
    source = CsvSource(io.BytesIO(csv_file(rows)))
    return await load(source, project_id=PROJECT, pool=pool, options=options, **more)


def counts(report: Report) -> tuple[int, ...]:
    return tuple(getattr(report, name) for name in COUNTS)


def stored(database: Database, columns: str = "event_id::text, user_id") -> list[Any]:
    with psycopg.connect(database.reader) as connection:
        query = f"select {columns} from events where project_id = 7 order by event_id"
        return connection.execute(query.encode()).fetchall()


def shuffled(rows: list[list[str]]) -> list[list[str]]:
    return random.Random(1).sample(rows, len(rows))  # noqa: S311 - the same order in every run


@pytest.fixture(scope="module")
def sample() -> list[list[str]]:
    path = Path(__file__).parents[1] / "fixtures" / "data" / "rete_ecom.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.mark.parametrize("name", ["git_rails", "rete_ecom"])
async def test_a_file_loaded_twice_is_in_the_table_once(
    pool: asyncpg.Pool, database: Database, fixtures: Path, name: str
) -> None:
    path = fixtures / "data" / f"{name}.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        expected = sorted(tuple(cells) for cells in list(csv.reader(file))[1:])
    rows = len(expected)
    seen = []
    for _ in range(2):
        with open_file(path) as source:
            seen.append(await load(source, project_id=PROJECT, pool=pool))
    batches = seen[0].batches
    assert [counts(report) for report in seen] == [
        (rows, rows, 0, 0, batches, 0),
        (rows, 0, rows, 0, batches, batches),
    ]
    at = "to_char(occurred_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    assert stored(database, f"event_id::text, {at}, user_id, event_type") == [
        cells[:4] for cells in expected
    ]
    unequal = "count(*) filter (where properties is distinct from p::jsonb)"
    with psycopg.connect(database.reader) as connection:
        found = connection.execute(
            f"select count(*), {unequal} from unnest(%s::uuid[], %s::text[]) as u (e, p)"
            " join events on event_id = e",
            ([cells[0] for cells in expected], [cells[4] for cells in expected]),
        ).fetchone()
    assert found == (rows, 0)


@pytest.mark.parametrize("encoder", ENCODERS)
async def test_shuffled_halves_and_the_whole_make_the_same_table(
    pool: asyncpg.Pool, database: Database, sample: list[list[str]], encoder: Encoder
) -> None:
    mixed = shuffled(sample[:10_000])
    parts = (mixed[:6_000], mixed[4_000:], sample[:10_000])
    reports = [await load_rows(pool, part, encoder=encoder) for part in parts]
    assert [(report.inserted, report.duplicates) for report in reports] == [
        (6_000, 0),
        (4_000, 2_000),
        (0, 10_000),
    ]
    assert stored(database) == sorted((cells[0], cells[2]) for cells in sample[:10_000])


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
async def test_of_equal_ids_in_a_file_the_first_row_counts(
    pool: asyncpg.Pool, database: Database, batch_rows: int
) -> None:
    rows = [row(number, user_id=user) for number, user in [(2, "a"), (1, "b"), (2, "c"), (1, "d")]]
    report = await load_rows(pool, rows, batch_rows)
    assert (report.inserted, report.duplicates) == (2, 2)
    assert stored(database) == [(event_id(1), "b"), (event_id(2), "a")]


@pytest.mark.parametrize("encoder", ENCODERS)
async def test_values_at_the_limits_arrive_as_they_were_given(
    pool: asyncpg.Pool, database: Database, encoder: Encoder
) -> None:
    rows = [
        row(1, occurred_at="0001-01-01T00:00:00Z", user_id="\U0001f600" * 200, properties=""),
        row(2, occurred_at="9999-12-31T23:59:59.999999999Z", event_type='a,"b"\r\nc'),
        row(3, occurred_at="1969-12-31T23:59:59.9999999+00", properties='{"n":9007199254740993}'),
        row(4, occurred_at="2025-08-01T10:15-00:30", properties='{"n":1.50,"é":"\\ud83d\\ude00"}'),
    ]
    await load_rows(pool, rows, encoder=encoder)
    micros = "(extract(epoch from occurred_at) * 1000000)::bigint"
    texts = stored(database, f"{micros}, properties::text")
    assert texts == [
        (-62_135_596_800_000_000, "{}"),
        (253_402_300_799_999_999, '{"plan": "pro"}'),
        (-1, '{"n": 9007199254740993}'),
        (1_754_045_100_000_000, '{"n": 1.50, "é": "😀"}'),
    ]
    assert stored(database, "user_id, event_type") == [
        ("\U0001f600" * 200, "login"),
        ("ann", 'a,"b"\r\nc'),
        ("ann", "login"),
        ("ann", "login"),
    ]


async def test_projects_have_ids_of_their_own(pool: asyncpg.Pool, database: Database) -> None:
    await load_rows(pool, [row(1)])
    source = CsvSource(io.BytesIO(csv_file([row(1)])))
    report = await load(source, project_id=ProjectId(8), pool=pool)
    assert (report.inserted, report.duplicates) == (1, 0)


async def test_after_a_duplicate_batches_are_staged_until_one_has_none(
    pool: asyncpg.Pool, database: Database
) -> None:
    await load_rows(pool, [row(5)])
    report = await load_rows(pool, [row(number) for number in range(1, 15)], batch_rows=2)
    # Batches: 1-2, 3-4, 5-6 (duplicate, staged), 7-8 (staged, has none), 9-10, 11-12, 13-14.
    assert counts(report) == (14, 13, 1, 0, 7, 2)
    assert [cells[0] for cells in stored(database)] == [event_id(n) for n in range(1, 15)]


async def test_rejects_do_not_stop_a_load_and_all_are_told(
    pool: asyncpg.Pool, database: Database
) -> None:
    told: list[Reject] = []
    rows = [row(n, user_id="" if n % 2 else "ann") for n in range(10)]
    source = CsvSource(io.BytesIO(csv_file(rows)))
    report = await load(
        source,
        project_id=PROJECT,
        pool=pool,
        options=LoadOptions(batch_rows=4, kept_rejects=3),
        rejects=told.extend,
    )
    assert counts(report) == (10, 5, 0, 5, 3, 0)
    assert [(reject.position, reject.code) for reject in told] == [
        (line, Code.MISSING_FIELD) for line in (3, 5, 7, 9, 11)
    ]
    assert report.rejects == tuple(told[:3])
    assert [cells[0] for cells in stored(database)] == [event_id(n) for n in (0, 2, 4, 6, 8)]


async def test_a_file_of_rejects_alone_writes_nothing(pool: asyncpg.Pool) -> None:
    report = await load_rows(pool, [["x"] * 5] * 3, batch_rows=2)
    assert counts(report) == (3, 0, 0, 3, 2, 0)


async def test_an_empty_file_of_events_is_no_error(pool: asyncpg.Pool) -> None:
    assert counts(await load_rows(pool, [])) == (0, 0, 0, 0, 0, 0)


async def test_an_array_of_json_events_is_loaded(pool: asyncpg.Pool, database: Database) -> None:
    event = '{"event_id":"%s","occurred_at":"2025-08-01T10:15:00Z","user_id":7,"event_type":"x"}'
    body = ",".join(event % event_id(number) for number in (1, 2, 1))
    report = await load(JsonSource(io.BytesIO(f"[{body}]".encode())), project_id=PROJECT, pool=pool)
    assert (report.inserted, report.duplicates) == (2, 1)
    assert stored(database) == [(event_id(1), "7"), (event_id(2), "7")]


async def test_progress_is_told_after_every_commit(pool: asyncpg.Pool, database: Database) -> None:
    told: list[tuple[int, int]] = []

    def look(report: Report) -> None:
        told.append((report.inserted, len(stored(database))))

    report = await load_rows(pool, [row(n) for n in range(7)], 3, progress=look)
    assert told == [(3, 3), (6, 6), (7, 7)]
    assert report.bytes_read == len(csv_file([row(n) for n in range(7)]))
    assert report.seconds > 0


async def test_three_loads_at_once_insert_each_row_once(
    pool: asyncpg.Pool, database: Database, sample: list[list[str]]
) -> None:
    files = (sample, sample[::-1], shuffled(sample))
    reports = await asyncio.gather(*(load_rows(pool, rows, 5_000) for rows in files))
    assert [report.rows for report in reports] == [len(sample)] * 3
    assert sum(report.inserted for report in reports) == len(sample)
    assert sum(report.duplicates for report in reports) == 2 * len(sample)
    assert stored(database) == sorted((cells[0], cells[2]) for cells in sample)


async def test_a_deadlock_with_somebody_else_costs_a_retry(
    pool: asyncpg.Pool, database: Database
) -> None:
    insert = (
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " values (7, $1, now(), 'other', 'x')"
    )
    other = await asyncpg.connect(database.admin)
    try:
        await other.execute("set deadlock_timeout = '1min'")
        async with other.transaction():
            await other.execute(insert, event_id(2))
            loading = asyncio.create_task(load_rows(pool, [row(1), row(2), row(3)]))
            await until_somebody_waits(database)
            await other.execute(insert, event_id(1))
        report = await loading
    finally:
        await other.close()
    assert counts(report) == (3, 1, 2, 0, 1, 1)
    assert stored(database) == [
        (event_id(1), "other"),
        (event_id(2), "other"),
        (event_id(3), "ann"),
    ]


async def until_somebody_waits(database: Database) -> None:
    waiting = "select exists (select from pg_locks where not granted)"
    connection = await asyncpg.connect(database.admin)
    try:
        while not await connection.fetchval(waiting):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_a_file_that_breaks_off_leaves_whole_batches(
    pool: asyncpg.Pool, database: Database, tmp_path: Path, sample: list[list[str]]
) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(csv_file(sample))[:-20])
    with pytest.raises(InputEndedBadly) as broken, open_file(path) as source:
        await load(source, project_id=PROJECT, pool=pool, options=LoadOptions(batch_rows=1000))
    before = broken.value.report.inserted
    assert 0 < before < len(sample)
    assert stored(database) == sorted((cells[0], cells[2]) for cells in sample[:before])
    assert "The gzip data ends too early" in str(broken.value)
    assert f"{before:,} rows before are in the table" in str(broken.value)


async def test_a_table_that_takes_no_rows_is_told(pool: asyncpg.Pool, database: Database) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute("revoke insert on events from tidemark_writer")
        connection.execute(
            "revoke insert (project_id, event_id, occurred_at, user_id, event_type, properties)"
            " on events from tidemark_writer"
        )
    with pytest.raises(LoadRefused, match=r"^Postgres refused the rows: permission denied for tab"):
        await load_rows(pool, [row(1)])


@pytest.mark.parametrize("after", [0, 1])
async def test_a_cancelled_load_ends_with_the_batch_it_writes(
    pool: asyncpg.Pool, database: Database, after: int
) -> None:
    told: list[Report] = []
    rows = [row(number) for number in range(20_000)]

    def cancel(report: Report) -> None:
        told.append(report)
        if len(told) > after:
            asyncio.get_running_loop().call_soon(loading.cancel)

    loading = asyncio.create_task(load_rows(pool, rows, 500, progress=cancel))
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert after < len(told) <= after + 2
    assert len(stored(database)) == told[-1].inserted == 500 * len(told)
