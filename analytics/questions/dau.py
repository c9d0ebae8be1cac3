"""Daily active users: how many distinct users had at least one event on each local day.

An engine's compact answer has the columns (day, dau): `day` counts from 0 at the range's first day,
days without events may be absent, and rows of one day add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, cast

from analytics.answer import Json
from analytics.project import Project
from analytics.questions.day_range import DayRange
from analytics.questions.periods import day_parameters
from analytics.questions.question import Parameters, Value


@dataclass(frozen=True, order=True)  # no slots: see Row
class DayUsers:
    """A day and how many distinct users were active on it."""

    day: date
    dau: int

    def as_json(self) -> Mapping[str, Json]:
        """`{"day": "2025-08-01", "dau": 12}`."""
        return {"day": self.day.isoformat(), "dau": self.dau}


@dataclass(frozen=True, slots=True)
class Dau:
    """How many users were active on each of these days, in the project's time zone?

    Rows: one `DayUsers` for every day of the range, in order; days without events, and days that
    the zone left out, with 0.
    """

    name: ClassVar[str] = "dau"

    project: Project
    days: DayRange

    def parameters(self) -> Mapping[str, Value]:
        """The project and its days as instants."""
        return Parameters({"project_id": self.project.id}, day_parameters(self.project, self.days))

    def rows(self, found: Iterable[Sequence[object]]) -> tuple[DayUsers, ...]:
        """Every day in order, from (day, dau)."""
        active = [0] * len(self.days)
        for day, dau in cast("Iterable[tuple[int, int]]", found):
            active[day] += dau
        return tuple(map(DayUsers, self.days, active))
