"""Looks that several questions share: each is begun after whoever takes it has asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest

from analytics.mirror.errors import HistoryBroken
from analytics.mirror.look import Look, look
from analytics.mirror.looks import Looks
from tests.mirror.conftest import SHOP, Write, insert
from tests.mirror.hand_kept import HandKept

LIMIT = timedelta(seconds=5)
PATIENCE = 30


@pytest.fixture
def looks(mirror: HandKept) -> Iterator[Looks]:
    with closing(Looks(mirror.sessions, LIMIT)) as looks:
        yield looks


class HeldUp:
    """Looks that have their snapshot, and don't end before they may."""

    def __init__(self) -> None:
        self.begun: list[Event] = [Event() for _ in range(3)]
        self.may_end = Event()
        self.count = 0

    @contextmanager
    def __call__(self, *arguments: Any, **named: Any) -> Iterator[Look]:
        with look(*arguments, **named) as seen:
            self.begun[self.count].set()
            self.count += 1
            assert self.may_end.wait(PATIENCE)
            yield seen


def test_who_asks_during_a_look_shares_the_next(
    mirror: HandKept, connect: Write, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.open_or_build()
    state, held_up = mirror.state(), HeldUp()
    monkeypatch.setattr("analytics.mirror.looks.look", held_up)

    first = looks.soon(state, SHOP.id)
    assert held_up.begun[0].wait(PATIENCE)
    insert(connect())
    later = [looks.soon(state, SHOP.id) for _ in range(8)]
    held_up.may_end.set()

    assert first.result(PATIENCE).rows == 0
    assert [each.result(PATIENCE).rows for each in later] == [1] * 8
    assert held_up.count == 2


def test_another_project_or_state_is_looked_at_by_itself(
    mirror: HandKept, connect: Write, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    mirror.open_or_build()
    before, held_up = mirror.state(), HeldUp()
    insert(writer)
    mirror.sync()
    monkeypatch.setattr("analytics.mirror.looks.look", held_up)

    asked = [(before, SHOP.id), (mirror.state(), SHOP.id), (before, SHOP.id + 1)]
    found: list[Future[Look]] = []
    for begun, (state, project_id) in zip(held_up.begun, asked, strict=True):
        found.append(looks.soon(state, project_id))
        assert begun.wait(PATIENCE)
    held_up.may_end.set()
    assert [each.result(PATIENCE).rows for each in found] == [1, 0, 0]


def test_where_no_thread_can_be_started_that_is_said_and_the_next_look_is_taken(
    mirror: HandKept, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.open_or_build()
    state = mirror.state()

    def refused(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refused)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                looks.soon(state, SHOP.id)
    assert looks.soon(state, SHOP.id).result(PATIENCE).rows == 0


def test_what_a_look_raises_everybody_hears_who_waits_for_it_and_nobody_later(
    mirror: HandKept, connect: Write, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.open_or_build()
    state, held_up = mirror.state(), HeldUp()
    with monkeypatch.context() as patch:
        patch.setattr("analytics.mirror.looks.look", held_up)
        first = looks.soon(state, SHOP.id)
        assert held_up.begun[0].wait(PATIENCE)
        connect().execute("truncate events")
        later = [looks.soon(state, SHOP.id) for _ in range(2)]
        held_up.may_end.set()
        assert first.result(PATIENCE).rows == 0
        for each in later:
            with pytest.raises(HistoryBroken):
                each.result(PATIENCE)

    mirror.rebuild_now()
    assert looks.soon(mirror.state(), SHOP.id).result(PATIENCE).rows == 0
