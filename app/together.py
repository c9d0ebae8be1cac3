"""Questions that come at the same time, answered together.

While one answer is being fetched, what else is asked waits, and is then asked as one. Nothing is
kept: an answer is fetched after its question was put, never before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """Calls `fetch` with all questions at hand; it gives an answer to each, in their order."""

    def __init__(self, fetch: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]]) -> None:
        self._fetch = fetch
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """The answer. Raises what `fetch` raises."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        asked: list[tuple[Question, asyncio.Future[Answer]]] = []
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                await self._answer(asked)
        finally:
            self._running = None
            for _, answer in (*asked, *self._waiting):
                answer.cancel()  # those that have their answer stay as they are

    async def _answer(self, asked: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._fetch([question for question, _ in asked])
        except Exception as error:  # noqa: BLE001 - everybody who asked raises it
            for _, waiting in asked:
                if not waiting.done():
                    waiting.set_exception(error)
        else:
            for (_, waiting), answer in zip(asked, answers, strict=True):
                if not waiting.done():
                    waiting.set_result(answer)
