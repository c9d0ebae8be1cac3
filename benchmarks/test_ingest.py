"""Files into the events table, against a bare COPY of the same bytes and against the usual way.

Question: what do reading, validating, deduplicating and counting cost on top of what Postgres
takes?
Hypothesis: little, for a thread prepares a batch while Postgres writes the one before; so a load
keeps at least 0.85 (Parquet, Arrow), 0.7 (CSV) and 0.5 (a file of duplicates) of the rate of a bare
COPY, and is fifteen times as fast as SQLAlchemy with 1,000 rows to an INSERT.
Control: the bare COPY sends the very bytes that a load sends, sorted and in the same batches, into
the same table with the same key, indexes and checks; one goes before each round, and rounds are
compared with theirs. One round to warm up, then five, whose raw times are kept. All rows are
counted before the times count.
Command: make benchmark, with 100,000 events; make bench-full with a million. make bench-ingest does
this part alone (BENCHMARK_EVENTS=10000000 for more); its last lines are the ratios.
What would make it wrong: a busy machine, for a load keeps two cores busy and a bare COPY hardly
more than one; a checkpoint in one case and not in another, so there is one before every round.
Compare rates of one run with each other, never with those of another day.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import median

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from app.database.migrate import upgrade
from app.local.home import Home
from app.local.servers import ServerOptions, ServerUrls, local_servers
from benchmarks.conftest import LOADED, PROJECT
from benchmarks.files import (
    bare_copy,
    encoded_batches,
    generated,
    insert_usually,
    load_file,
    write_files,
    write_large_csv,
)
from ingest.encode import encode_python
from ingest.load import LoadOptions

WARM_UP, ROUNDS = 1, 5
USUAL_SIZE = max(LOADED // 20, 1)
MAX_LOADER_MB = 400
LOAD_IN_A_PROCESS = """
import sys
from pathlib import Path
from benchmarks.files import load_file
report = load_file(sys.argv[1], 1, Path(sys.argv[2]))
assert report.inserted == int(sys.argv[3]), report
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])  # in kB; ru_maxrss would count the parent's memory
"""
COPY, USUAL = "bare COPY of bytes that are ready", "CSV by SQLAlchemy, 1,000 rows to an INSERT"
FOUND: list[str] = []


@pytest.fixture(scope="module")
def servers() -> Iterator[ServerUrls]:
    """A Postgres with the schema, durable as any, everything in memory."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Home(Path(folder)), options=ServerOptions(shared_buffers_mb=2048)) as urls,
    ):
        upgrade(urls.owner)
        yield urls


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """LOADED events in each format."""
    return write_files(tmp_path_factory.mktemp("files"), LOADED)


@pytest.fixture(scope="module")
def encoded() -> Callable[[], list[bytes]]:
    """The same events as a load sends them, made when they are first needed."""
    return cache(lambda: encoded_batches(generated(LOADED), PROJECT.id))


@pytest.fixture(scope="module", autouse=True)
def found() -> Iterator[None]:
    """Prints what was found, at the end."""
    yield
    sys.stderr.write("\n" + "\n".join(FOUND) + "\n")


class Control:
    """A bare COPY into the emptied table before each round of a case, for times to go with its."""

    def __init__(self, servers: ServerUrls, encoded: Callable[[], list[bytes]]) -> None:
        self._servers = servers
        self._encoded = encoded
        self.seconds: list[float] = []

    def copy(self) -> None:
        """Leaves the table full."""
        self.empty()
        encoded = self._encoded()
        began = time.perf_counter()
        bare_copy(self._servers.writer, encoded)
        self.seconds.append(time.perf_counter() - began)
        assert self.count() == LOADED
        self.settle()

    def copy_and_empty(self) -> None:
        """Leaves the table empty."""
        self.copy()
        self.empty()

    def empty(self) -> None:
        """Truncates the table."""
        with psycopg.connect(self._servers.owner, autocommit=True) as connection:
            connection.execute("truncate events")
        self.settle()

    def settle(self) -> None:
        """Writes out what the work before left to be written."""
        with psycopg.connect(self._servers.admin, autocommit=True) as connection:
            connection.execute("checkpoint")

    def count(self) -> int:
        """Rows in the table."""
        with psycopg.connect(self._servers.reader) as connection:
            (rows,) = connection.execute("select count(*) from events").fetchone() or (0,)
        return int(rows)


@pytest.fixture
def control(servers: ServerUrls, encoded: Callable[[], list[bytes]]) -> Control:
    return Control(servers, encoded)


def compared(
    benchmark: BenchmarkFixture,
    control: Control,
    name: str,
    work: Callable[[], object],
    setup: Callable[[], None],
) -> None:
    """Times the work, a bare COPY before each round, and keeps how the two compare."""
    timed(benchmark, work, setup, name)
    if benchmark.stats:  # none where benchmarks are only tried
        took, bare = benchmark.stats.stats.data, control.seconds[-ROUNDS:]
        ratio = median(before / own for before, own in zip(bare, took, strict=True))
        benchmark.extra_info["of_bare_copy"] = round(ratio, 3)
        rate, bare_rate = LOADED / median(took), LOADED / median(bare)
        FOUND.append(
            f"{name}: {rate:,.0f} rows/s; bare COPY {bare_rate:,.0f} rows/s:"
            f" {ratio:.2f} of its rate"
        )


def timed(
    benchmark: BenchmarkFixture,
    work: Callable[[], object],
    setup: Callable[[], None],
    way: str,
    events: int = LOADED,
) -> None:
    """Times the work, and says with it what it was."""
    benchmark.group = "a file into the table"
    benchmark.extra_info |= {"about": "loading", "events": events, "way": way}
    benchmark.extra_info["is_baseline"] = way in {COPY, USUAL}
    benchmark.pedantic(  # type: ignore[no-untyped-call]  # has no types
        work, setup=setup, rounds=ROUNDS, warmup_rounds=WARM_UP
    )


def test_bare_copy(
    benchmark: BenchmarkFixture,
    servers: ServerUrls,
    encoded: Callable[[], list[bytes]],
    control: Control,
) -> None:
    timed(benchmark, lambda: bare_copy(servers.writer, encoded()), control.empty, COPY)
    assert control.count() == LOADED


@pytest.mark.parametrize("name", ["Parquet", "Arrow", "CSV", "NDJSON"])
def test_file(
    benchmark: BenchmarkFixture,
    servers: ServerUrls,
    files: dict[str, Path],
    control: Control,
    name: str,
) -> None:
    def load() -> None:
        load_file(servers.writer, PROJECT.id, files[name.lower()])

    compared(benchmark, control, name, load, control.copy_and_empty)
    assert control.count() == LOADED


@pytest.mark.parametrize("name", ["Parquet", "CSV"])
def test_file_of_duplicates(
    benchmark: BenchmarkFixture,
    servers: ServerUrls,
    files: dict[str, Path],
    control: Control,
    name: str,
) -> None:
    def load() -> None:
        report = load_file(servers.writer, PROJECT.id, files[name.lower()])
        assert (report.inserted, report.duplicates) == (0, LOADED)

    compared(benchmark, control, f"{name}, all duplicates", load, control.copy)


def test_file_encoded_without_pgpq(
    benchmark: BenchmarkFixture, servers: ServerUrls, files: dict[str, Path], control: Control
) -> None:
    def load() -> None:
        options = LoadOptions(encoder=encode_python)
        load_file(servers.writer, PROJECT.id, files["parquet"], options)

    compared(benchmark, control, "Parquet, encoded without pgpq", load, control.copy_and_empty)
    assert control.count() == LOADED


def test_the_usual_way(
    benchmark: BenchmarkFixture, servers: ServerUrls, control: Control, tmp_path: Path
) -> None:
    """The same rows as CSV by both; ours loads twenty times as many, to be measurable."""
    few = write_large_csv(tmp_path / "few.csv", USUAL_SIZE)
    many = write_large_csv(tmp_path / "many.csv", LOADED)
    ours: list[float] = []

    def load() -> None:
        control.empty()
        began = time.perf_counter()
        load_file(servers.writer, PROJECT.id, many)
        ours.append(time.perf_counter() - began)
        control.empty()

    def insert() -> None:
        assert insert_usually(servers.writer, PROJECT.id, few) == USUAL_SIZE

    timed(benchmark, insert, load, USUAL, USUAL_SIZE)
    if benchmark.stats:
        rates = LOADED / median(ours[-ROUNDS:]), USUAL_SIZE / median(benchmark.stats.stats.data)
        FOUND.append(
            f"CSV: {rates[0]:,.0f} rows/s; SQLAlchemy {rates[1]:,.0f} rows/s:"
            f" {rates[0] / rates[1]:.1f} times its rate"
        )


def test_memory(
    benchmark: BenchmarkFixture, servers: ServerUrls, control: Control, tmp_path: Path
) -> None:
    """A process of its own, so that its peak is that of the load; the same at any size."""
    file = write_large_csv(tmp_path / "large.csv", LOADED)
    control.empty()
    command = [sys.executable, "-c", LOAD_IN_A_PROCESS, servers.writer, str(file), str(LOADED)]
    benchmark.group = "memory"
    run = benchmark.pedantic(  # type: ignore[no-untyped-call]
        subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=1
    )
    peak = int(run.stdout) // 1024
    FOUND.append(f"{LOADED:,} rows, {file.stat().st_size / 1e6:,.0f} MB of CSV: peak {peak} MB RSS")
    assert peak < MAX_LOADER_MB
