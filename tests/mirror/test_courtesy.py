"""A sync lets questions pass, and comes to its end under questions that don't."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from analytics.mirror import courtesy
from analytics.mirror.look import Look
from tests.mirror.conftest import SHOP, WINDOW, Write, insert
from tests.mirror.hand_kept import HandKept


def test_sync_waits_for_who_asks(
    mirror: HandKept, connect: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courtesy, "SECONDS", 60.0)
    store = mirror.open_or_build()
    insert(connect())
    sync = Thread(target=mirror.sync)
    with store.courtesy.asked():
        sync.start()
        sync.join(0.3)
        assert sync.is_alive()
    sync.join(30)
    assert not sync.is_alive()


def test_sync_ends_under_questions_without_end(
    mirror: HandKept, connect: Write, exact: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courtesy, "SECONDS", 0.05)
    store = mirror.open_or_build()
    insert(connect())
    with store.courtesy.asked():
        assert mirror.sync().rows == 1
    exact()


def test_question_with_a_tail_is_let_pass(
    mirror: HandKept, connect: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = mirror.open_or_build()
    insert(connect())
    seen: list[bool] = []
    added = Look.added

    def noting(*arguments: Any) -> Any:
        seen.append(store.courtesy.is_asked)
        return added(*arguments)

    monkeypatch.setattr(Look, "added", noting)
    mirror.engine.answer(WINDOW.questions(SHOP)[0])
    assert seen == [True]
    assert not store.courtesy.is_asked
