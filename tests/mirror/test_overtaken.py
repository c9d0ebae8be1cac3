"""While a large commit is under way DuckDB shows its rows to everybody: what was read is void."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from analytics.duck import DuckLimits
from analytics.mirror.errors import MirrorUnavailable, Overtaken
from analytics.mirror.look import look
from analytics.mirror.store import Store
from tests.conftest import Database
from tests.mirror.conftest import SHOP, WINDOW, Write, insert
from tests.mirror.hand_kept import HandKept

SECONDS = 3
LIMIT = timedelta(seconds=10)
INSERT = """insert into numbers
select range % 1000, range, now()::timestamp from range(300_000) order by 1"""
COUNT = "select count(*) from numbers where moment is not null"


def write(store: Store, *, large: bool) -> None:
    with store.writing(large=large) as cursor:
        cursor.execute(INSERT)


def read_while(store: Store, act: Callable[[], None]) -> list[Any]:
    with store.reading(LIMIT) as (cursor, _):
        act()
        return cursor.execute(COUNT).fetchall()


@pytest.fixture
def store(database: Database, connect: Write, tmp_path: Path) -> Iterator[Store]:
    """With two threads: only then INSERT prepares row groups beside the table."""
    insert(connect())
    with HandKept(database, tmp_path, DuckLimits(threads=2, memory_megabytes=256)) as mirror:
        store = mirror.open_or_build()
        with store.writing() as cursor:
            cursor.execute("create table numbers (number integer, other integer, moment timestamp)")
        yield store


def test_a_block_that_a_large_commit_overtakes_is_void(store: Store) -> None:
    with pytest.raises(Overtaken):
        read_while(store, lambda: write(store, large=True))
    with store.reading(LIMIT) as (cursor, _):
        assert cursor.execute(COUNT).fetchone() == (300_000,)


def test_what_goes_wrong_in_such_a_block_is_void_too(store: Store) -> None:
    def fail() -> None:
        write(store, large=True)
        raise MirrorUnavailable(cause="seen in rows that were not there")

    with pytest.raises(Overtaken):
        read_while(store, fail)


def test_a_small_commit_overtakes_nobody(store: Store) -> None:
    assert read_while(store, lambda: write(store, large=False)) == [(0,)]


def test_a_sync_is_a_large_commit_when_it_adds_a_tables_first_rows(
    mirror: HandKept, connect: Write
) -> None:
    writer = connect()
    insert(writer)
    store = mirror.open_or_build()

    def sync() -> None:
        insert(writer)
        with store.reading(LIMIT):
            mirror.sync()

    with pytest.raises(Overtaken):
        sync()
    sync()


def test_no_reader_that_is_believed_sees_rows_before_they_are_committed(store: Store) -> None:
    """Without the guard some do, in every run of three seconds."""
    stopped = False

    def keep_writing() -> None:
        while not stopped:
            write(store, large=True)
            time.sleep(0.02)

    writer = Thread(target=keep_writing)
    writer.start()
    believed = 0
    try:
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            with suppress(Overtaken):
                assert len(counted(store)) == 1
                believed += 1
    finally:
        stopped = True
        writer.join()
    assert believed


def counted(store: Store) -> set[Any]:
    """What one transaction counts, again and again."""
    with store.reading(LIMIT) as (cursor, _):
        return {cursor.execute(COUNT).fetchone() for _ in range(25)}


def test_a_question_that_is_overtaken_is_asked_again(
    mirror: HandKept, connect: Write, exact: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    monkeypatch.setattr("analytics.mirror.sync.LARGE", 1)
    looks: list[Any] = []

    def look_beside_a_sync(*arguments: Any, **named: Any) -> Any:
        looks.append(arguments)
        if len(looks) == 1:
            insert(writer, user="bob")
            mirror.sync()
        return look(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr("analytics.engines.mirrored.look", look_beside_a_sync)
        rows = mirror.engine.answer(WINDOW.questions(SHOP)[0]).rows
    assert len(looks) == 2
    assert sum(day.dau for day in rows) == 2
    exact()
