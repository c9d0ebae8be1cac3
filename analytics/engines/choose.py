"""The one list of engines, and the one rule which of them answers.

Measured with both on two cores, medians in milliseconds, Postgres with the schema's own indexes:

| question              | events, users | postgres | attached |
|-----------------------|---------------|----------|----------|
| a week without events |   -           |        2 |        7 |
| DAU, 22 years         | 113 k,  6.8 k |      171 |      109 |
| DAU, 7 of 120 days    |   1 M,  60 k  |       50 |       51 |
| DAU, 120 days         |   1 M,  60 k  |    1,045 |      456 |
| DAU, 7 of 120 days    |  10 M, 400 k  |      276 |      238 |
| DAU, 120 days         |  10 M, 400 k  |    9,855 |    4,268 |
| retention, 8 weeks    |   1 M,   3 k  |      144 |      283 |
| retention, 8 weeks    |   1 M,  60 k  |      557 |      420 |
| retention, 8 weeks    |  10 M, 400 k  |    5,614 |    3,439 |
| top events, 120 days  |   1 M,  60 k  |      118 |      377 |
| top events, 7 of 120  |  10 M, 400 k  |       68 |      179 |
| top events, 120 days  |  10 M, 400 k  |    1,139 |    2,685 |

Distinct users are what DuckDB is better at: it saves seconds where there are many, and costs
milliseconds where there are few. Plain counts are best made where the events lie: to bring them
over costs more than twice as much as to count them. `make benchmark` prints figures of your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from analytics.answer import Answer, RowT_co
from analytics.engines.attached import AttachedEngine
from analytics.engines.postgres import PostgresEngine
from analytics.engines.protocol import ASKED_FOR, TIMEOUT, Engine, Tracer
from analytics.errors import UnknownEngine
from analytics.questions.question import Question
from analytics.questions.top_events import TopEvents

NAMES: Final = (AttachedEngine.name, PostgresEngine.name)


@dataclass(frozen=True, slots=True)
class Choice:
    """The name of the engine that answers, and why it does."""

    engine: str
    reason: str


_DEFAULT: Final = Choice(AttachedEngine.name, "DuckDB counts distinct users faster")
_EXCEPTIONS: Final[Mapping[str, Choice]] = {
    TopEvents.name: Choice(PostgresEngine.name, "counted where the events lie"),
}


def choose(question: Question[Any], asked: str | None = None) -> Choice:
    """The engine for this question: the one asked for, else the one measured to be faster.

    Raises:
        UnknownEngine: no engine has the name asked for; the message lists those there are.
    """
    if asked is None:
        return _EXCEPTIONS.get(question.name, _DEFAULT)
    if asked not in NAMES:
        raise UnknownEngine(
            f"{asked!r} is no engine; ask for {' or '.join(NAMES)}, or for none", field="engine"
        )
    return Choice(asked, ASKED_FOR)


class Engines:
    """All engines over one database, and the rule above before them. Shared between threads."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        """Takes an engine for each of `NAMES`, and closes them in the end."""
        self._engines = engines

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        timeout: timedelta = TIMEOUT,
        tracer: Tracer | None = None,
        spill: Path | None = None,
    ) -> Self:
        """Engines over the database at this libpq URL, best with a role that may only read.

        Nothing connects before the first question. `timeout` is each statement's; `spill` is the
        folder for what DuckDB can't hold in memory, by default the system's.
        """
        return cls(
            {
                AttachedEngine.name: AttachedEngine(
                    url, timeout=timeout, tracer=tracer, spill=spill
                ),
                PostgresEngine.name: PostgresEngine(url, timeout=timeout, tracer=tracer),
            }
        )

    def answer(self, question: Question[RowT_co], engine: str | None = None) -> Answer[RowT_co]:
        """The answer of the engine named, or of the one that the rule chooses, and why it was that.

        Raises:
            UnknownEngine: no engine has this name.
            Unreachable: Postgres doesn't answer.
            DeadlineExceeded: the time limit has passed.
        """
        choice = choose(question, engine)
        return self._engines[choice.engine].answer(question).because(choice.reason)

    def explain(self, question: Question[RowT_co], engine: str | None = None) -> str:
        """The plan by which the same engine would answer. Raises what `answer` does."""
        return self._engines[choose(question, engine).engine].explain(question)

    def ping(self) -> None:
        """Make sure that every engine could answer now.

        Raises:
            Unreachable: one of them can't.
        """
        for engine in self._engines.values():
            engine.ping()

    def close(self) -> None:
        """Close every engine."""
        with ExitStack() as stack:
            for engine in self._engines.values():
                stack.callback(engine.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
