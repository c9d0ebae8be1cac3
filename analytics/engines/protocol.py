"""What an engine promises. Engines don't know each other, nor any question by name.

Every engine gives the same rows for the same events; they differ in how long it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Protocol, TypeAlias

from analytics.answer import Answer, RowT_co
from analytics.questions.question import Question, Value

# Told of every statement an engine ran: its text, what was bound, milliseconds, rows that came
# back.
Tracer: TypeAlias = Callable[[str, Mapping[str, Value], float, int], None]


# A dashboard that waits longer is a dashboard nobody looks at; callers with more patience say so.
TIMEOUT: Final = timedelta(seconds=30)

# The reason in an answer, until whoever chose the engine gives a better one.
ASKED_FOR: Final = "asked for"


class Engine(Protocol):
    """Answers questions from a project's events. May be shared between threads."""

    @property
    def name(self) -> str:
        """The engine's name, as people ask for it and as answers report it."""
        ...

    def answer(self, question: Question[RowT_co]) -> Answer[RowT_co]:
        """The rows, in the question's own order, and how they came about.

        Raises:
            Unreachable: Postgres doesn't answer; the next call tries afresh.
            DeadlineExceeded: the statement ran past the engine's time limit and was stopped on
                every side.
        """
        ...

    def explain(self, question: Question[RowT_co]) -> str:
        """The plan of the statement that `answer` would run, as the engine's database prints it.

        Raises:
            Unreachable: Postgres doesn't answer.
        """
        ...

    def ping(self) -> None:
        """Make sure that a question could be answered now.

        Raises:
            Unreachable: Postgres doesn't answer.
        """
        ...

    def close(self) -> None:
        """Give back connections and threads. Calling it twice is fine."""
        ...
