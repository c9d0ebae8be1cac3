"""So many at once, so many waiting, and no more: what keeps questions from piling up in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from app.problems import Busy

Result = TypeVar("Result")


class Turns:
    """Threads for work that blocks, and a queue with an end before them."""

    def __init__(self, at_once: int, waiting: int, seconds: float | None = None) -> None:
        """Takes how many may work, how many more may wait for that, and how long each may."""
        self.at_once = at_once
        """How many may work at the same time."""
        self.working = 0
        """How many do."""
        self._inside = 0
        self._most = at_once + waiting
        self._seconds = seconds
        self._turn = asyncio.Semaphore(at_once)
        # Their own: through anyio's a question took a tenth more of the server's time.
        self._threads = ThreadPoolExecutor(at_once, "tidemark-turn")

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
        self._inside += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            self._inside -= 1
            raise Busy from error
        except BaseException:
            self._inside -= 1
            raise
        self.working += 1
        running = copy_context().run
        working = asyncio.get_running_loop().run_in_executor(
            self._threads, running, work, *arguments
        )
        working.add_done_callback(self._leave)
        done, _ = await asyncio.wait((working,), timeout=self._seconds)
        if not done:
            raise Busy
        return working.result()

    def _leave(self, working: asyncio.Future[Any]) -> None:
        self._inside -= 1
        self.working -= 1
        self._turn.release()
        if not working.cancelled():
            working.exception()  # which may be nobody's to hear any more
