"""DuckDB's limits, without Postgres: memory, time, and what it may reach."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import duckdb
import pytest

from analytics.deadline import _Watchdog, deadline
from analytics.duck import DuckLimits, lock_down, open_database, quoted, transaction

ENDLESS = (
    "select count(*) from range(1000000000) a, range(1000000000) b where a.range = b.range + 1"
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    database = open_database(tmp_path / "spill", DuckLimits(memory_megabytes=64))
    lock_down(database)
    yield database
    database.close()


def test_more_than_fits_into_memory_is_spilled(
    database: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    wide = "select distinct repeat('u', 180) || range as u from range(1000000)"
    rows = database.execute(f"select count(*), min(length(u)) from ({wide})").fetchall()
    assert rows == [(1_000_000, 181)]
    assert (tmp_path / "spill").exists()


def test_deadline_stops_a_query(database: duckdb.DuckDBPyConnection) -> None:
    started = time.perf_counter()
    with (
        pytest.raises(duckdb.InterruptException),
        database.cursor() as cursor,
        deadline(cursor, timedelta(seconds=0.1)),
    ):
        cursor.execute(ENDLESS)
    assert 0.1 <= time.perf_counter() - started < 5


def test_deadline_stops_a_query_that_begins_after_it(database: duckdb.DuckDBPyConnection) -> None:
    with database.cursor() as cursor, deadline(cursor, timedelta(0)):
        time.sleep(0.02)
        with pytest.raises(duckdb.InterruptException):
            cursor.execute(ENDLESS)


def test_deadline_not_reached_changes_nothing(database: duckdb.DuckDBPyConnection) -> None:
    with database.cursor() as cursor, deadline(cursor, timedelta(seconds=5)):
        assert cursor.execute("select 1").fetchall() == [(1,)]


def test_deadlines_hold_again_after_their_thread_could_not_be_started(
    database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("analytics.deadline._WATCHDOG", _Watchdog())
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"), deadline(database, timedelta(0)):
            raise AssertionError("nothing may run that nobody watches")
    with (
        pytest.raises(duckdb.InterruptException),
        database.cursor() as cursor,
        deadline(cursor, timedelta(seconds=0.1)),
    ):
        cursor.execute(ENDLESS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_deadlines_hold_again_after_their_thread_died(
    database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OutOfMemory:
        asked = Event()

        def interrupt(self) -> None:
            self.asked.set()
            raise MemoryError

    watchdog = _Watchdog()
    monkeypatch.setattr("analytics.deadline._WATCHDOG", watchdog)
    with deadline(OutOfMemory(), timedelta(0)):
        assert OutOfMemory.asked.wait(5)
    assert watchdog._thread is not None
    watchdog._thread.join(5)
    with (
        pytest.raises(duckdb.InterruptException),
        database.cursor() as cursor,
        deadline(cursor, timedelta(seconds=0.1)),
    ):
        cursor.execute(ENDLESS)


def test_transaction_ends_though_its_block_fails(database: duckdb.DuckDBPyConnection) -> None:
    with database.cursor() as cursor:
        with suppress(ZeroDivisionError), transaction(cursor):
            raise ZeroDivisionError
        with pytest.raises(duckdb.Error, match="no transaction is active"):
            cursor.execute("rollback")


def test_text_is_quoted(database: duckdb.DuckDBPyConnection) -> None:
    text = "it's '' \\ $1 ; --\n"
    assert database.execute(f"select {quoted(text)}").fetchall() == [(text,)]


def test_another_version_of_duckdb_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(duckdb, "__version__", "1.5.6")
    with pytest.raises(RuntimeError, match=r"DuckDB is 1\.5\.6, .* fits 1\.5\.5 only"):
        open_database(tmp_path, DuckLimits())
