"""Questions at the same time: answered by one fetch, that began after each of them was put."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.together import Together


class Fetcher:
    """Answers with ten times the question, once it is let go; notes what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.go = asyncio.Event()

    async def __call__(self, questions: Sequence[int]) -> list[int]:
        self.asked.append(list(questions))
        await self.go.wait()
        if 13 in questions:
            raise LookupError(13)
        return [10 * question for question in questions]


async def asked(together: Together[int, int], *questions: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(together.ask(question)) for question in questions]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_is_asked_during_a_fetch_is_fetched_together_afterwards() -> None:
    fetch = Fetcher()
    together = Together(fetch)
    tasks = [*await asked(together, 1), *await asked(together, 2, 3), *await asked(together, 1)]
    fetch.go.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 10]
    assert fetch.asked == [[1], [2, 3, 1]]


async def test_everybody_who_asked_hears_of_a_failure_and_the_next_are_answered() -> None:
    fetch = Fetcher()
    together = Together(fetch)
    tasks = [*await asked(together, 1), *await asked(together, 2, 13)]
    fetch.go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, LookupError, LookupError]
    assert await together.ask(4) == 40


async def test_who_goes_away_takes_nobody_along() -> None:
    fetch = Fetcher()
    together = Together(fetch)
    first, *others = [*await asked(together, 1), *await asked(together, 2, 3)]
    first.cancel()
    others[0].cancel()
    await asyncio.sleep(0)
    fetch.go.set()
    assert await others[1] == 30
    for gone in (first, others[0]):
        with pytest.raises(asyncio.CancelledError):
            await gone
