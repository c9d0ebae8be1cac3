"""The mirror's answers beside those of SQL and of plain Python, over the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg

from analytics.engines.postgres import PostgresEngine
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from analytics.reference.event import Event
from tests.contract.reference_engine import by_reference
from tests.mirror.hand_kept import HandKept

_EVENTS = (
    """select project_id, occurred_at, user_id, event_type from events where project_id = %s"""
)


@dataclass(frozen=True)
class Window:
    """The days that questions are about."""

    first: date
    last: date
    weeks: int = 6

    def questions(self, project: Project) -> list[Question[Any]]:
        days = DayRange(self.first, self.last)
        return [
            Dau(project, days),
            TopEvents(project, days, limit=5),
            Retention(project, self.first, self.last, self.weeks),
        ]


def around(middle: date, days: int, weeks: int = 6) -> Window:
    """So many days on both sides."""
    return Window(middle - timedelta(days), middle + timedelta(days), weeks)


class Comparison:
    """Asks the mirror, SQL and the reference, and finds them to agree. Nobody writes meanwhile."""

    def __init__(self, keeper: HandKept) -> None:
        self.keeper = keeper
        self._postgres = PostgresEngine(keeper.database.reader)
        self._connection = psycopg.connect(
            keeper.database.reader, autocommit=True, options="-c timezone=UTC"
        )
        self.made = 0
        self.reasons: set[str] = set()
        self._known: dict[tuple[Question[Any], str], tuple[Any, ...]] = {}

    def events(self, project_id: int) -> list[Event]:
        rows = self._connection.execute(_EVENTS, [project_id]).fetchall()
        return [Event(*row) for row in rows]

    def expected(self, question: Question[Any], events: Sequence[Event]) -> tuple[Any, ...]:
        """The reference's rows, which SQL on Postgres gives too."""
        rows = by_reference(question, events)
        assert self._postgres.answer(question).rows == rows, f"postgres: {question}"
        return rows

    def check(self, project: Project, questions: Sequence[Question[Any]]) -> None:
        """Every question, all three ways; the same data version never stands for two answers."""
        events = self.events(project.id)
        for question in questions:
            expected = self.expected(question, events)
            answer = self.keeper.engine.answer(question)
            self.reasons.add(answer.meta.reason)
            assert answer.rows == expected, f"mirror, {answer.meta.reason}: {question}"
            assert answer.meta.data_version is not None
            version = (question, answer.meta.data_version)
            assert self._known.setdefault(version, answer.rows) == answer.rows, version[1]
            self.made += 1

    def close(self) -> None:
        self._postgres.close()
        self._connection.close()
