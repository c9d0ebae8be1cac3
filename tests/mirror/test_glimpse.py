"""One statement without a transaction around it: believed only if no commit came near it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from analytics.engines.mirrored import MirrorEngine
from analytics.engines.postgres import PostgresEngine
from analytics.mirror.known import MOST_ANSWERS, MOST_ROWS, Known
from analytics.mirror.look import Look, look
from analytics.mirror.store import Store
from tests.mirror.conftest import SHOP, WINDOW, Write, delete, insert
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]
LIMIT = timedelta(seconds=5)
COUNT = "select count(*) from events"


def known(mirror: HandKept) -> tuple[Store, Known]:
    store = mirror.store()
    with store.reading(LIMIT) as (_, state):
        assert store.known is not None
        assert store.known.state is state
        return store, store.known


def test_a_commit_makes_the_state_unknown_until_it_is_read(
    mirror: HandKept, connect: Write
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    store, state = known(mirror)
    assert store.glimpse(state, COUNT, LIMIT) == [(1,)]

    insert(writer)
    mirror.sync()

    assert store.known is not state
    assert store.glimpse(state, COUNT, LIMIT) is None
    store, later = known(mirror)
    assert later.state.horizon > state.state.horizon
    assert store.glimpse(later, COUNT, LIMIT) == [(2,)]


def test_a_commit_between_the_look_at_the_state_and_the_statement_is_noticed(
    mirror: HandKept, connect: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    store, state = known(mirror)

    class Overtaken:
        """Cursors before whose first statement a sync commits."""

        def __init__(self, database: Any) -> None:
            self._database = database

        def cursor(self) -> Any:
            monkeypatch.setattr(store, "_database", self._database)
            self._cursor = self._database.cursor()
            return self

        def execute(self, sql: str) -> Any:
            insert(writer)
            mirror.sync()
            return self._cursor.execute(sql)

        def close(self) -> None:
            self._cursor.close()

    monkeypatch.setattr(store, "_database", Overtaken(store._database))
    assert store.glimpse(state, COUNT, LIMIT) is None
    assert store.glimpse(known(mirror)[1], COUNT, LIMIT) == [(2,)]


def test_a_statement_runs_once_between_two_commits(
    mirror: HandKept, connect: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    store, state = known(mirror)
    database, opened = store._database, []

    class Counted:
        def cursor(self) -> Any:
            opened.append(database.cursor())
            return opened[-1]

    with monkeypatch.context() as patch:
        patch.setattr(store, "_database", Counted())
        assert [store.glimpse(state, COUNT, LIMIT) for _ in range(3)] == [[(1,)]] * 3
        assert len(opened) == 1
        assert store.glimpse(state, f"{COUNT} where false", LIMIT) == [(0,)]

    insert(writer)
    mirror.sync()
    assert store.glimpse(state, COUNT, LIMIT) is None
    assert store.glimpse(known(mirror)[1], COUNT, LIMIT) == [(2,)]


def test_of_the_answers_kept_the_oldest_go_and_long_ones_are_not_kept(mirror: HandKept) -> None:
    mirror.open_or_build()
    _, found = known(mirror)
    for number in range(MOST_ANSWERS + 1):
        found.keep(f"select {number}", [(number,)])
    assert list(found.answers.values()) == [[(number,)] for number in range(1, MOST_ANSWERS + 1)]
    found.keep("select 1", [(1,)])
    assert len(found.answers) == MOST_ANSWERS

    found.keep("long", [(0,)] * (MOST_ROWS + 1))
    assert "long" not in found.answers


def test_a_question_asked_again_makes_one_statement_and_a_late_event_is_counted(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    exact()
    seen: list[object] = []
    seeing = MirrorEngine._seeing

    def noted(engine: MirrorEngine, *asked: Any, **named: Any) -> Any:
        seen.append(asked)
        return seeing(engine, *asked, **named)

    monkeypatch.setattr(MirrorEngine, "_seeing", noted)
    for question in WINDOW.questions(SHOP):
        mirror.engine.answer(question)
        mirror.engine.version(question)
    assert seen == []

    insert(writer, user="late")
    exact()
    assert seen


def test_a_sync_behind_the_look_changes_no_answer(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    exact()
    question = WINDOW.questions(SHOP)[0]
    expected: list[Any] = []
    synced, glimpse = Event(), Store.glimpse
    with ExitStack() as stack, closing(PostgresEngine(mirror.database.reader)) as postgres:

        def look_before_a_sync(*arguments: Any, **named: Any) -> Any:
            seen = stack.enter_context(look(*arguments, **named))
            expected.append(postgres.answer(question).rows)
            insert(writer, user=f"user {len(expected)}")
            mirror.sync()
            synced.set()
            return nullcontext(seen)

        def glimpse_behind_it(*arguments: Any) -> Any:
            assert synced.wait(30)
            return glimpse(*arguments)

        for module in ("analytics.engines.mirrored", "analytics.mirror.looks"):
            monkeypatch.setattr(f"{module}.look", look_before_a_sync)
        monkeypatch.setattr(Store, "glimpse", glimpse_behind_it)
        assert mirror.engine.answer(question).rows == expected[-1]


def test_what_lies_above_is_looked_up_once_and_again_when_it_has_changed(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    number = insert(writer)
    mirror.open_or_build()
    reads: list[str] = []
    added = Look.added
    monkeypatch.setattr(Look, "added", lambda *seen: reads.append("added") or added(*seen))

    steps: list[Callable[[], object]] = [
        lambda: insert(writer, user="bob"),
        lambda: insert(writer, 700, user="cid"),
        lambda: delete(writer, number),
        lambda: delete(writer, 700),
    ]
    for step in steps:
        step()
        reads.clear()
        exact()
        first = len(reads)
        exact()
        assert 0 < first == len(reads)
