"""Weekly retention: of the users whose first event ever fell into a week, how many came back.

An engine's compact answer has the columns (cohort, week, users): `cohort` counts weeks from 0 at
the week of `start_date`, `week` counts from 0 at the cohort's own week, pairs without users may be
absent, and rows of one pair add up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, Final, cast

from analytics.answer import Json
from analytics.calendar import first_day_of_week
from analytics.errors import InvalidQuestion
from analytics.project import Project
from analytics.questions.day_range import MAX_DAYS, check_day
from analytics.questions.periods import week_parameters
from analytics.questions.question import Parameters, Value

DEFAULT_WINDOW: Final = 8
# Two years of weeks: at fifty years of cohorts still below 300,000 cells.
MAX_WINDOW: Final = 104


@dataclass(frozen=True)  # no slots: see Row
class Cell:
    """How much of a cohort was active in one week.

    Attributes:
        week: 0 for the cohort's own week, 1 for the next, ...
        active: distinct users of the cohort with an event in that week; None while the week hasn't
            begun.
        percent: 100 * active / size to two decimals, halves up; None while the week hasn't begun or
            the cohort is empty.
        complete: whether the week has ended.
    """

    week: int
    active: int | None
    percent: float | None
    complete: bool

    def as_json(self) -> Mapping[str, Json]:
        """`{"week": 0, "active": 10, "percent": 100.0, "complete": true}`."""
        return {
            "week": self.week,
            "active": self.active,
            "percent": self.percent,
            "complete": self.complete,
        }


@dataclass(frozen=True)  # no slots: see Row
class Cohort:
    """The users whose first event ever fell into one week.

    Attributes:
        cohort: first day of that week.
        size: how many users.
        weeks: `window` cells, week 0 first.
    """

    cohort: date
    size: int
    weeks: tuple[Cell, ...]

    def as_json(self) -> Mapping[str, Json]:
        """`{"cohort": "2025-08-04", "size": 10, "weeks": [cell, ...]}`."""
        return {
            "cohort": self.cohort.isoformat(),
            "size": self.size,
            "weeks": [cell.as_json() for cell in self.weeks],
        }


@dataclass(frozen=True, slots=True)
class Retention:
    """How well do the weekly cohorts from `start_date` on come back, as seen on the day `today`?

    Weeks are calendar weeks of the project's time zone and week_start. A user's cohort is the week
    of their first event ever, however long before `start_date` that was. Events after the week of
    `today` don't count.

    Rows: `Cohort`s in order, without gaps, from the first to the last that has users; none if
    `start_date` is after `today`.

    Attributes:
        project: whose events.
        start_date: cohorts are shown from the week of this day on.
        today: the local day on which the question is asked; weeks that begin after it are unknown.
        window: how many weeks of each cohort are shown, its own week included.

    Raises:
        InvalidQuestion: a day is out of reach, `start_date` more than fifty years before `today`,
            or `window` not 1 to 104.
    """

    name: ClassVar[str] = "retention"

    project: Project
    start_date: date
    today: date
    window: int = DEFAULT_WINDOW

    def __post_init__(self) -> None:
        check_day("start_date", self.start_date)
        check_day("today", self.today)
        if (self.today - self.start_date).days >= MAX_DAYS:
            raise InvalidQuestion(
                f"start_date is {self.start_date}, more than fifty years before {self.today}; "
                f"start at most fifty years ({MAX_DAYS} days) back",
                field="start_date",
            )
        if type(self.window) is not int or not 1 <= self.window <= MAX_WINDOW:
            raise InvalidQuestion(
                f"window is {self.window!r}; show 1 to {MAX_WINDOW} weeks", field="window"
            )

    @property
    def first_cohort(self) -> date:
        """First day of the first week that may be shown."""
        return first_day_of_week(self.start_date, self.project.week_start)

    @property
    def cohort_weeks(self) -> int:
        """Weeks from the first cohort to that of `today`, both included; 0 for a later start."""
        if self.start_date > self.today:
            return 0
        return (self.today - self.first_cohort).days // 7 + 1

    def parameters(self) -> Mapping[str, Value]:
        """The project, the weeks as instants, and the window."""
        weeks = week_parameters(self.project, self.first_cohort, self.cohort_weeks)
        return Parameters({"project_id": self.project.id, "window": self.window}, weeks)

    def rows(self, found: Iterable[Sequence[object]]) -> tuple[Cohort, ...]:
        """Cohorts in order with all their cells, from (cohort, week, users)."""
        active: defaultdict[tuple[int, int], int] = defaultdict(int)
        for cohort, week, users in cast("Iterable[tuple[int, int, int]]", found):
            active[cohort, week] += users
        cohorts = [cohort for (cohort, week), users in active.items() if week == 0 and users]
        if not cohorts:
            return ()
        return tuple(self._cohort(index, active) for index in range(min(cohorts), max(cohorts) + 1))

    def _cohort(self, index: int, active: Mapping[tuple[int, int], int]) -> Cohort:
        size = active.get((index, 0), 0)
        begins = self.first_cohort + timedelta(weeks=index)
        cells = (
            self._cell(begins, week, active.get((index, week), 0), size)
            for week in range(self.window)
        )
        return Cohort(begins, size, tuple(cells))

    def _cell(self, cohort: date, week: int, active: int, size: int) -> Cell:
        begins = cohort + timedelta(weeks=week)
        if begins > self.today:
            return Cell(week, active=None, percent=None, complete=False)
        complete = begins + timedelta(days=6) < self.today
        return Cell(week, active, percent(active, size), complete)


def percent(part: int, whole: int) -> float | None:
    """100 * part / whole to two decimals, halves up, or None when there is no whole.

    The rounding is done in whole numbers, so it is exact: 1 of 800 is 0.13, never 0.12.
    """
    if whole == 0:
        return None
    hundredths = (20_000 * part + whole) // (2 * whole)
    return hundredths / 100
