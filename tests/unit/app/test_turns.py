"""Turns: nobody waits longer than allowed, and what hangs keeps its place."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from app.problems import Busy
from app.turns import Turns

SHORT = 0.05


async def test_whoever_waits_too_long_for_a_turn_or_a_result_is_told_so() -> None:
    turns, go = Turns(1, 2, seconds=SHORT), Event()
    try:
        asked = [asyncio.create_task(turns.run(go.wait)) for _ in range(3)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Busy] * 3
        assert (turns.working, turns.waiting) == (1, 0), "a thread that hangs keeps its place"
    finally:
        go.set()
    assert await turns.run(go.wait)


async def test_queue_has_an_end() -> None:
    turns, go = Turns(1, 1), Event()
    asked = [asyncio.create_task(turns.run(go.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await turns.run(go.wait)
    go.set()
    assert await asyncio.gather(*asked) == [True, True]


async def test_what_the_work_raises_is_raised_and_ends_the_turn() -> None:
    turns = Turns(1, 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await turns.run(divmod, 1, 0)
    assert (turns.working, turns.waiting) == (0, 0)
