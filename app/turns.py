"""So many at once, so many waiting, and no more: what keeps questions from piling up in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from app.problems import Busy

Result = TypeVar("Result")


class Turns:
    """Threads for work that blocks, and a queue with an end before them."""

    def __init__(self, at_once: int, waiting: int, seconds: float | None = None) -> None:
        """Takes how many may work, how many more may wait for that, and how long each may."""
        self._limiter = CapacityLimiter(at_once)
        self._most = at_once + waiting
        self._threads = CapacityLimiter(inf)
        self._seconds = seconds
        self._inside = 0

    @property
    def at_once(self) -> int:
        """How many may work at the same time."""
        return int(self._limiter.total_tokens)

    @property
    def working(self) -> int:
        """How many do."""
        return self._limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._inside - self.working

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """The result of the work, done in a thread when its turn has come.

        Raises:
            Busy: The queue is full, or the time is over. A thread that still works then, because it
                waits for a server that hangs, keeps its place until it ends.
        """
        if self._inside >= self._most:
            raise Busy
        turn = object()
        self._inside += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._limiter.acquire_on_behalf_of(turn)
        except TimeoutError as error:
            self._inside -= 1
            raise Busy from error
        except BaseException:
            self._inside -= 1
            raise
        working = asyncio.create_task(to_thread.run_sync(work, *arguments, limiter=self._threads))
        working.add_done_callback(partial(self._leave, turn))
        done, _ = await asyncio.wait((working,), timeout=self._seconds)
        if not done:
            raise Busy
        return working.result()

    def _leave(self, turn: object, working: asyncio.Task[Any]) -> None:
        self._inside -= 1
        self._limiter.release_on_behalf_of(turn)
        if not working.cancelled():
            working.exception()  # which may be nobody's to hear any more
