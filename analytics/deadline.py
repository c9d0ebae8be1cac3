"""What blocks a thread for too long is interrupted: a statement of DuckDB, a wait for Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from threading import Condition, Thread
from time import monotonic
from typing import Final, Protocol

_RETRY_SECONDS: Final = 0.05


class Interruptible(Protocol):
    """What another thread may interrupt, a cursor of DuckDB say."""

    def interrupt(self) -> None:
        """Have what runs end soon; nothing happens if nothing runs."""


@contextmanager
def deadline(work: Interruptible, limit: timedelta) -> Iterator[None]:
    """Interrupt this work once `limit` has passed, until the block is left.

    It interrupts again and again, for an interruption between two statements is lost.
    """
    ends = _WATCHDOG.add(work, limit.total_seconds())
    try:
        yield
    finally:
        _WATCHDOG.remove(ends)


class _Watchdog:
    """One thread for all deadlines of the process, for to start one takes as long as a statement.

    It sleeps until the earliest deadline it knew of, and longer ones come and go without waking it.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._works: dict[_Ends, Interruptible] = {}
        self._wakes = inf
        self._thread: Thread | None = None

    def add(self, work: Interruptible, seconds: float) -> _Ends:
        """Watch it; what to `remove` it by."""
        ends = _Ends(monotonic() + seconds)
        with self._changed:
            if self._thread is None or not self._thread.is_alive():  # dead for want of memory, say
                thread = Thread(target=self._run, name="tidemark-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            self._works[ends] = work
            if ends.at < self._wakes:
                self._changed.notify()
        return ends

    def remove(self, ends: _Ends) -> None:
        """From now on it isn't interrupted any more."""
        with self._changed:
            del self._works[ends]

    def _run(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for ends, work in self._works.items():
                    if ends.at <= now:
                        work.interrupt()
                        ends.at = now + _RETRY_SECONDS
                self._wakes = min((ends.at for ends in self._works), default=inf)
                self._changed.wait(None if self._wakes == inf else self._wakes - now)


@dataclass(slots=True, eq=False)
class _Ends:
    """When the time is over, by the monotonic clock."""

    at: float


_WATCHDOG: Final = _Watchdog()
