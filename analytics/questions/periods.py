"""Days and weeks as the parameters that engines bind, in both forms `calendar` knows.

Each engine reads the form it is faster with: boundaries (`day_starts`, `week_starts`) or offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import TypeAlias

from analytics.calendar import Offset, day_number, day_starts, offsets, week_starts
from analytics.project import Project
from analytics.questions.day_range import DayRange
from analytics.questions.question import Value

Later: TypeAlias = Mapping[str, Callable[[], Value]]
"""What `question.Parameters` takes: values by name, each worked out when it is asked for."""


def day_parameters(project: Project, days: DayRange) -> Later:
    """The range as an interval, its days as boundaries, and offsets to read a day off an instant.

    `day_starts` has one instant more than there are days; day i of the range is [day_starts[i],
    day_starts[i + 1]).
    """

    def starts() -> tuple[datetime, ...]:
        return day_starts(project.timezone, days.first, days.last)

    return {
        "begins_at": lambda: starts()[0],
        "ends_at": lambda: starts()[-1],
        "day_starts": lambda: list(starts()),
        "first_day": lambda: day_number(days.first),
        "last_day": lambda: day_number(days.last),
        **_offset_parameters(project.timezone, days.first, days.last),
    }


def week_parameters(project: Project, first: date, weeks: int) -> Later:
    """Weeks from the day `first` on, as boundaries, and offsets to read a day off an instant.

    `week_starts` has one instant more than there are weeks. What happened before the first of them
    is older than shown.
    """

    def starts() -> tuple[datetime, ...]:
        return week_starts(project.timezone, first, weeks)

    last = first + timedelta(days=max(7 * weeks - 1, 0))
    return {
        "begins_at": lambda: starts()[0],
        "ends_at": lambda: starts()[-1],
        "week_starts": lambda: list(starts()),
        "first_day": lambda: day_number(first),
        "end_day": lambda: day_number(first) + 7 * weeks,
        **_offset_parameters(project.timezone, first, last),
    }


def _offset_parameters(zone_name: str, first: date, last: date) -> Later:
    def known() -> tuple[Offset, ...]:
        return offsets(zone_name, first, last)

    return {
        "offset_begins": lambda: [offset.begins_at for offset in known()],
        "offset_seconds": lambda: [offset.seconds for offset in known()],
    }
