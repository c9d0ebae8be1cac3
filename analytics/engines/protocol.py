"""What an engine promises. Engines don't know each other, nor any question by name.

Every engine gives the same rows for the same events; they differ in how long it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

from analytics.answer import Answer, Meta, RowT_co
from analytics.questions.question import Question, Value

# Told of every statement an engine ran: its text, what was bound, milliseconds, rows that came
# back.
Tracer: TypeAlias = Callable[[str, Mapping[str, Value], float, int], None]


# A dashboard that waits longer is a dashboard nobody looks at; callers with more patience say so.
TIMEOUT: Final = timedelta(seconds=30)

# The reason in an answer, until whoever chose the engine gives a better one.
ASKED_FOR: Final = "asked for"


class Freshness(StrEnum):
    """How new an answer has to be.

    `exact` counts every event that was committed before the question came. `mirror` doesn't look at
    Postgres at all: the answer is as of the last sync, and says how old that is.
    """

    EXACT = "exact"
    MIRROR = "mirror"


class Engine(Protocol):
    """Answers questions from a project's events. May be shared between threads."""

    @property
    def name(self) -> str:
        """The engine's name, as people ask for it and as answers report it."""
        ...

    def answer(
        self, question: Question[RowT_co], freshness: Freshness = Freshness.EXACT
    ) -> Answer[RowT_co]:
        """The rows, in the question's own order, and how they came about.

        An engine on live rows is exact whatever freshness is enough.

        Raises:
            MirrorUnavailable: the engine needs a mirror, and there is none just now.
            Unreachable: Postgres doesn't answer; the next call tries afresh.
            DeadlineExceeded: the statement ran past the engine's time limit and was stopped on
                every side.
        """
        ...

    def version(self, question: Question[Any]) -> Meta | None:
        """What an exact answer would say of itself; None if only the answer itself can tell.

        Raises what `answer` does.
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
