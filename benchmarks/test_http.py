"""Events over HTTP into the table, against what Postgres takes without HTTP.

Question: how many events a second does one server process take over HTTP, in requests of one and of
a thousand, with the key looked up and the limiter asked for each request, and how much memory does
a long body take?
Hypothesis: single events share key look-ups, validation and INSERTs, so what binds them is HTTP in
one Python process, some six times as long as bare INSERTs take; a thousand at once take less than
twice as long as COPY alone; a body's length doesn't show in the memory: what grows is the mirror,
up to DUCKDB_MEMORY_MB and what it reads ahead.
Control: the same events written by asyncpg, without HTTP or any check: one INSERT each over as many
connections as the server has, and one COPY for each thousand. Every id that was acknowledged is
looked for in the table. Five rounds, whose raw times are kept, each of events that nobody has sent
before; a few requests warm the server up.
Client: benchmarks.wire, on the same cores; it takes about a tenth of what the server takes.
Command: make benchmark, or this alone and the long body, make bench-http (BENCHMARK_EVENTS scales
all of it).
What would make it wrong: a busy machine, or a disk whose flushes vary; compare the medians of one
run with each other only.
"""

from __future__ import annotations

import asyncio
import http.client
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import wire
from benchmarks.conftest import LOADED, SIZE
from benchmarks.generate import events
from benchmarks.serving import Serving, serving
from ingest.encode import COPIED_COLUMNS

SINGLE = min(5_000, max(200, LOADED // 50))
BATCHES, BATCH = min(100, max(4, LOADED // 2_000)), 1_000
CSV_ROWS = SIZE * 10
CONNECTIONS, POOL = 100, 8
ROUNDS = 5
INSERT = """
    insert into events (project_id, event_id, occurred_at, user_id, event_type, properties)
    values ($1, $2, $3, $4, $5, $6) on conflict do nothing
"""

Event = dict[str, Any]
_seeds = iter(range(1, 1_000_000))


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    """A server that has answered a few requests already."""
    with serving() as found:
        post(found, [[event] for event in fresh(200)], 20)
        yield found


def fresh(size: int) -> list[Event]:
    """Events that nobody has sent before."""
    rows = events(size, seed=next(_seeds)).to_pylist()
    return [
        row
        | {
            "event_id": str(UUID(bytes=row["event_id"])),
            "properties": {"plan": "pro", "position": place, "path": f"/a/b/{place}"},
        }
        for place, row in enumerate(rows)
    ]


def post(server: Serving, requests: list[list[Event]], connections: int) -> wire.Load:
    """Sends the requests, and makes sure that all events were acknowledged as new."""
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    ready = [wire.request("/api/events", orjson.dumps(sent), headers) for sent in requests]
    load = asyncio.run(wire.send_all("127.0.0.1", server.port, ready, connections))
    inserted = [orjson.loads(reply.body)["inserted"] for reply in load.replies]
    assert sum(map(len, inserted)) == sum(map(len, requests))
    return load


def in_table(server: Serving, sent: list[Event]) -> int:
    with psycopg.connect(server.urls.reader) as connection:
        ids = [UUID(event["event_id"]) for event in sent]
        query = "select count(*) from events where event_id = any(%s)"
        row = connection.execute(query, (ids,)).fetchone()
    return int(row[0]) if row else 0


Run = Callable[[Serving, list[Event]], wire.Load | None]


def single_over_http(server: Serving, sent: list[Event]) -> wire.Load:
    return post(server, [[event] for event in sent], CONNECTIONS)


def thousands_over_http(server: Serving, sent: list[Event]) -> wire.Load:
    return post(server, [sent[at : at + BATCH] for at in range(0, len(sent), BATCH)], 4)


def single_by_insert(server: Serving, sent: list[Event]) -> None:
    async def each(pool: asyncpg.Pool, waiting: Iterator[tuple[Any, ...]]) -> None:
        async with pool.acquire() as connection:
            for row in waiting:
                await connection.execute(INSERT, *row)

    by_asyncpg(server, lambda pool, rows: [each(pool, rows) for _ in range(POOL)], sent)


def thousands_by_copy(server: Serving, sent: list[Event]) -> None:
    async def copy(pool: asyncpg.Pool, waiting: Iterator[tuple[Any, ...]]) -> None:
        async with pool.acquire() as connection:
            rows = list(waiting)
            for at in range(0, len(rows), BATCH):
                await connection.copy_records_to_table(
                    "events", records=rows[at : at + BATCH], columns=COPIED_COLUMNS
                )

    by_asyncpg(server, lambda pool, rows: [copy(pool, rows)], sent)


def by_asyncpg(
    server: Serving,
    work: Callable[[asyncpg.Pool, Iterator[tuple[Any, ...]]], list[Coroutine[Any, Any, None]]],
    sent: list[Event],
) -> None:
    """Rows as asyncpg takes them, handed to tasks that share them."""
    project_id = server.project_id

    async def run() -> None:
        rows = iter(
            [
                (project_id, *list(event.values())[:4], orjson.dumps(event["properties"]).decode())
                for event in sent
            ]
        )
        async with asyncpg.create_pool(server.urls.writer, min_size=POOL, max_size=POOL) as pool:
            await asyncio.gather(*work(pool, rows))

    asyncio.run(run())


SIZES = {"single": SINGLE, "thousands": BATCHES * BATCH}
CASES: dict[str, tuple[str, Run]] = {
    "JSON over HTTP, one event a request": ("single", single_over_http),
    "the same without HTTP: an INSERT each": ("single", single_by_insert),
    "JSON over HTTP, 1,000 events a request": ("thousands", thousands_over_http),
    "the same without HTTP: a COPY of each 1,000": ("thousands", thousands_by_copy),
}


@pytest.mark.parametrize("name", CASES)
def test_events(
    benchmark: BenchmarkFixture,
    server: Serving,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    group, run = CASES[name]
    sent: list[Event] = []

    def setup() -> tuple[tuple[Serving, list[Event]], dict[str, Any]]:
        sent[:] = fresh(SIZES[group])
        return (server, sent), {}

    loads: list[wire.Load | None] = []
    benchmark.group = f"{group}: {SIZES[group]:,} events"
    benchmark.extra_info |= {"about": "loading", "events": SIZES[group], "way": name}
    benchmark.extra_info["is_baseline"] = run in {single_by_insert, thousands_by_copy}
    benchmark.pedantic(  # type: ignore[no-untyped-call]  # has no types
        lambda server, sent: loads.append(run(server, sent)), setup=setup, rounds=ROUNDS
    )
    assert in_table(server, sent) == len(sent)
    last = loads[-1]
    if last is not None:
        tell(
            capsys,
            f"{name}: {len(sent) / last.seconds:,.0f} events/s, "
            f"{len(last.replies) / last.seconds:,.0f} requests/s, "
            f"p50 {last.percentile(0.5) * 1e3:.0f} ms, p99 {last.percentile(0.99) * 1e3:.0f} ms",
        )


@pytest.mark.parametrize("mirror", [False, True], ids=["no-mirror", "mirror"])
def test_memory_of_a_long_body(
    mirror: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.csv"
    write_csv(file, CSV_ROWS)
    with serving(mirror=mirror) as server:
        answer = post_file(server, file)
        peak = server.peak_mb
    assert (answer["inserted"], answer["rows"]) == (CSV_ROWS, CSV_ROWS)
    tell(
        capsys,
        f"a body of {CSV_ROWS:,} rows, {file.stat().st_size / 1e6:,.0f} MB of CSV,"
        f" {'with' if mirror else 'without'} a mirror: "
        f"{CSV_ROWS / answer['seconds']:,.0f} rows/s, server's peak {peak:,.0f} MB",
    )


def post_file(server: Serving, file: Path) -> dict[str, Any]:
    """Sends a file as one body; what the server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    headers = {
        "Authorization": f"Bearer {server.key}",
        "Content-Type": "text/csv",
        "Content-Length": str(file.stat().st_size),
    }
    with file.open("rb") as body:
        connection.request("POST", "/api/events", body=body, headers=headers)
    answer: dict[str, Any] = orjson.loads(connection.getresponse().read())
    connection.close()
    return answer


def write_csv(file: Path, size: int) -> None:
    """Fresh events, half a million at a time."""
    with file.open("wb") as sink:
        for start in range(0, size, 500_000):
            table = events(min(500_000, size - start), seed=next(_seeds))
            digits = table.column("event_id").combine_chunks().buffers()[1].to_pybytes().hex()
            ids = [str(UUID(digits[at : at + 32])) for at in range(0, len(digits), 32)]
            instants = pc.strftime(table.column("occurred_at"), "%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(0, "event_id", pa.array(ids))
            table = table.set_column(1, "occurred_at", instants)
            options = pa.csv.WriteOptions(include_header=start == 0)
            pa.csv.write_csv(table, sink, options)


def tell(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{line}\n")
        sys.stdout.flush()
