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

A mirror answers all of them in milliseconds (docs/mirror.md), so where there is one it comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from analytics.answer import Answer, Meta, RowT_co
from analytics.duck import DuckLimits
from analytics.engines.attached import AttachedEngine
from analytics.engines.mirrored import MirrorEngine
from analytics.engines.postgres import PostgresEngine
from analytics.engines.protocol import ASKED_FOR, TIMEOUT, Engine, Freshness, Tracer
from analytics.errors import Exhausted, UnknownEngine
from analytics.mirror.errors import MirrorUnavailable
from analytics.mirror.keeper import Keeper
from analytics.questions.question import Question
from analytics.questions.top_events import TopEvents

NAMES: Final = (MirrorEngine.name, AttachedEngine.name, PostgresEngine.name)


@dataclass(frozen=True, slots=True)
class Choice:
    """The name of the engine that answers, and why it does."""

    engine: str
    reason: str


_DEFAULT: Final = Choice(AttachedEngine.name, "DuckDB counts distinct users faster")
_EXCEPTIONS: Final[Mapping[str, Choice]] = {
    TopEvents.name: Choice(PostgresEngine.name, "counted where the events lie"),
}

_EXHAUSTED: Final = f"{AttachedEngine.name} lacks memory or disk for it"


def choose(question: Question[Any], asked: str | None = None) -> Choice:
    """The engine for this question without a mirror: the one asked for, else the faster one.

    Raises:
        UnknownEngine: no engine has the name asked for; the message lists those there are.
    """
    if asked is None:
        return _EXCEPTIONS.get(question.name, _DEFAULT)
    if asked not in NAMES:
        raise UnknownEngine(
            f"{asked!r} is no engine; ask for {', '.join(NAMES[:-1])} or {NAMES[-1]}, or for none",
            field="engine",
        )
    return Choice(asked, ASKED_FOR)


class Engines:
    """All engines over one database, and the rule above before them. Shared between threads."""

    def __init__(
        self,
        attached: Engine,
        postgres: Engine,
        mirror: MirrorEngine | None = None,
    ) -> None:
        """Takes the engines, and closes them in the end."""
        self._live = {AttachedEngine.name: attached, PostgresEngine.name: postgres}
        self._mirror = mirror

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        timeout: timedelta = TIMEOUT,
        tracer: Tracer | None = None,
        spill: Path | None = None,
        limits: DuckLimits | None = None,
        keeper: Keeper | None = None,
    ) -> Self:
        """Engines over the database at this libpq URL, best with a role that may only read.

        Nothing connects before the first question. `timeout` is each statement's; `spill` is the
        folder for what DuckDB can't hold in memory, by default the system's; `limits` are those of
        the attached engine's DuckDB. `keeper` keeps the mirror of the same database and stays its
        owner's to close; without one there is no mirror.
        """
        return cls(
            AttachedEngine(url, timeout=timeout, tracer=tracer, spill=spill, limits=limits),
            PostgresEngine(url, timeout=timeout, tracer=tracer),
            MirrorEngine(keeper, timeout=timeout, tracer=tracer) if keeper else None,
        )

    def answer(
        self,
        question: Question[RowT_co],
        engine: str | None = None,
        freshness: Freshness = Freshness.EXACT,
    ) -> Answer[RowT_co]:
        """The answer of the engine named, or of the one that the rule chooses, and why it was that.

        Without a name the mirror answers; while it can't, another engine does, exactly, and
        Postgres itself where DuckDB lacks what it needs.

        Raises:
            UnknownEngine: no engine has this name.
            MirrorUnavailable: the mirror was asked for by name and can't answer now.
            Unreachable: Postgres doesn't answer.
            Exhausted: the engine that was asked for by name lacks memory or disk.
            DeadlineExceeded: the time limit has passed.
        """
        choice = choose(question, engine)
        if choice.engine == MirrorEngine.name:
            return self._asked_mirror().answer(question, freshness)
        if engine is None and self._mirror is not None:
            try:
                return self._mirror.answer(question, freshness)
            except MirrorUnavailable as error:
                choice = Choice(choice.engine, f"{choice.reason} (no mirror: {error.cause})")
        try:
            return self._live[choice.engine].answer(question).because(choice.reason)
        except Exhausted:
            if engine is not None:
                raise
            return self._live[PostgresEngine.name].answer(question).because(_EXHAUSTED)

    def version(self, question: Question[Any], engine: str | None = None) -> Meta | None:
        """What the answer would say of itself; None where only the answer itself can tell.

        Raises:
            UnknownEngine, Unreachable, DeadlineExceeded: as for `answer`.
        """
        choice = choose(question, engine)
        if self._mirror is None or (engine is not None and choice.engine != MirrorEngine.name):
            return None
        try:
            return self._mirror.version(question)
        except MirrorUnavailable:
            return None

    def explain(self, question: Question[RowT_co], engine: str | None = None) -> str:
        """The plan by which the same engine would answer. Raises what `answer` does."""
        choice = choose(question, engine)
        if choice.engine == MirrorEngine.name:
            return self._asked_mirror().explain(question)
        if engine is None and self._mirror is not None:
            try:
                return self._mirror.explain(question)
            except MirrorUnavailable:
                return self._live[choice.engine].explain(question)
        return self._live[choice.engine].explain(question)

    def ping(self) -> None:
        """Make sure that questions could be answered now; a mirror isn't needed for that.

        Raises:
            Unreachable: one of the engines on live rows can't answer.
        """
        for engine in self._live.values():
            engine.ping()

    def close(self) -> None:
        """Close every engine."""
        with ExitStack() as stack:
            for engine in self._live.values():
                stack.callback(engine.close)

    def _asked_mirror(self) -> MirrorEngine:
        if self._mirror is None:
            raise MirrorUnavailable("this process keeps no mirror; name another engine, or none")
        return self._mirror

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
