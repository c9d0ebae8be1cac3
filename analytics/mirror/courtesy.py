"""Who asks goes first: both a question and a sync want the processors, and Python's one lock.

A question takes some hundredths of a second, a sync some tenths. Side by side each takes as long as
both together; so a sync waits between its steps while somebody asks, though not for long: under
questions that never end it has to come to its end as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from time import monotonic
from typing import Final

SECONDS: Final = 0.25
"""From its beginning a sync gives way for so long, and no longer."""


class Courtesy:
    """Between the threads of one mirror."""

    def __init__(self) -> None:
        """Nobody asks yet."""
        self._changed = Condition()
        self._asking = 0

    @property
    def is_asked(self) -> bool:
        """Whether a question is under way now."""
        return self._asking > 0

    @contextmanager
    def asked(self) -> Iterator[None]:
        """A question is under way in the block."""
        with self._changed:
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()

    def give_way(self, until: float) -> None:
        """Wait while somebody asks, until this moment of the monotonic clock at the latest."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_asked, timeout=max(0.0, until - monotonic()))
