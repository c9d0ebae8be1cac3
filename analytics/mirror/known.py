"""What readers find out of the mirror's file, kept for the next of them until another commit."""

from __future__ import annotations

from threading import Lock
from typing import Any, Final, TypeAlias

from analytics.mirror.state import State

Rows: TypeAlias = list[tuple[Any, ...]]

MOST_ANSWERS: Final = 256
MOST_ROWS: Final = 1_000
"""Of an answer that is kept: if all are as long as may be, they take some 45 MB."""


class Known:
    """What is known of the file as the last commit left it. Shared between threads.

    Attributes:
        state: what it says of itself.
        projects: what was found out of each project.
        answers: the rows of statements that were run, for whoever asks the same: a page of charts
            is looked at by many. Nobody changes them.
    """

    def __init__(self, state: State) -> None:
        """Only the state is known at first."""
        self.state = state
        self.projects: dict[int, Any] = {}
        self.answers: dict[str, Rows] = {}
        self._lock = Lock()

    def keep(self, sql: str, rows: Rows) -> None:
        """Keep the rows of a statement, unless they are many; the oldest make room for them."""
        if len(rows) > MOST_ROWS:
            return
        with self._lock:
            if sql not in self.answers and len(self.answers) >= MOST_ANSWERS:
                del self.answers[next(iter(self.answers))]
            self.answers[sql] = rows
