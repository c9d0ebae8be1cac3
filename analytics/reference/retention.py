"""Weekly retention, by the set of weeks in which each user was active."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from analytics.calendar import WeekStart
from analytics.questions.retention import Cell, Cohort, Retention
from analytics.reference.event import Event, local_day

_WEEK = timedelta(weeks=1)


def retention(question: Retention, events: Iterable[Event]) -> tuple[Cohort, ...]:
    """The answer to the question from these events, of whatever projects, in whatever order."""
    if question.start_date > question.today:
        return ()
    weeks = _weeks_by_user(question, events)
    cohorts: defaultdict[date, list[set[date]]] = defaultdict(list)
    for active in weeks.values():
        cohorts[min(active)].append(active)
    first = _week(question, question.start_date)
    shown = [week for week in cohorts if first <= week]
    if not shown:
        return ()
    every = (min(shown) + index * _WEEK for index in range((max(shown) - min(shown)) // _WEEK + 1))
    return tuple(_cohort(question, week, cohorts[week]) for week in every)


def _weeks_by_user(question: Retention, events: Iterable[Event]) -> dict[str, set[date]]:
    """The weeks up to that of `today` in which each user was active, by their first days."""
    last = _week(question, question.today)
    weeks: defaultdict[str, set[date]] = defaultdict(set)
    for event in events:
        if event.project_id == question.project.id:
            week = _week(question, local_day(question.project.timezone, event.occurred_at))
            if week <= last:
                weeks[event.user_id].add(week)
    return weeks


def _cohort(question: Retention, cohort: date, members: list[set[date]]) -> Cohort:
    cells = []
    for k in range(question.window):
        week = cohort + k * _WEEK
        if week > question.today:
            cells.append(Cell(k, None, None, complete=False))
        else:
            active = sum(week in weeks for weeks in members)
            ended = week + _WEEK <= question.today
            cells.append(Cell(k, active, _percent(active, len(members)), complete=ended))
    return Cohort(cohort, len(members), tuple(cells))


def _percent(active: int, size: int) -> float | None:
    if size == 0:
        return None
    exact = Decimal(100 * active) / Decimal(size)
    return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def _week(question: Retention, day: date) -> date:
    """First day of the week of `day`, by going back day for day, never before the year 1."""
    starts_on = 7 if question.project.week_start is WeekStart.SUNDAY else 1
    while day.isoweekday() != starts_on and day > date.min:
        day -= timedelta(days=1)
    return day
