"""Days and weeks as the parameters that engines bind, in both forms `calendar` knows.

Each engine reads the form it is faster with: boundaries (`day_starts`, `week_starts`) or offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from analytics.calendar import day_number, day_starts, offsets, week_starts
from analytics.project import Project
from analytics.questions.day_range import DayRange
from analytics.questions.question import Value


def day_parameters(project: Project, days: DayRange) -> Mapping[str, Value]:
    """The range as an interval, its days as boundaries, and offsets to read a day off an instant.

    `day_starts` has one instant more than there are days; day i of the range is [day_starts[i],
    day_starts[i + 1]).
    """
    starts = day_starts(project.timezone, days.first, days.last)
    return {
        "begins_at": starts[0],
        "ends_at": starts[-1],
        "day_starts": list(starts),
        "first_day": day_number(days.first),
        "last_day": day_number(days.last),
        **_offset_parameters(project.timezone, days.first, days.last),
    }


def week_parameters(project: Project, first: date, weeks: int) -> Mapping[str, Value]:
    """Weeks from the day `first` on, as boundaries, and offsets to read a day off an instant.

    `week_starts` has one instant more than there are weeks. What happened before the first of them
    is older than shown.
    """
    starts = week_starts(project.timezone, first, weeks)
    return {
        "begins_at": starts[0],
        "ends_at": starts[-1],
        "week_starts": list(starts),
        "first_day": day_number(first),
        "end_day": day_number(first) + 7 * weeks,
        **_offset_parameters(
            project.timezone, first, first + timedelta(days=max(7 * weeks - 1, 0))
        ),
    }


def _offset_parameters(zone_name: str, first: date, last: date) -> Mapping[str, Value]:
    known = offsets(zone_name, first, last)
    return {
        "offset_begins": [offset.begins_at for offset in known],
        "offset_seconds": [offset.seconds for offset in known],
    }
