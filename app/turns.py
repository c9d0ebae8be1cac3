"""So many at once, so many waiting, and no more: what keeps questions from piling up in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from app.problems import Busy

Result = TypeVar("Result")


class Turns:
    """Threads for work that blocks, and a queue with an end before them."""

    def __init__(self, at_once: int, waiting: int) -> None:
        """Takes how many may work, and how many more may wait for that."""
        self._limiter = CapacityLimiter(at_once)
        self._most = at_once + waiting
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
            Busy: The queue is full.
        """
        if self._inside >= self._most:
            raise Busy
        self._inside += 1
        try:
            return await to_thread.run_sync(work, *arguments, limiter=self._limiter)
        finally:
            self._inside -= 1
