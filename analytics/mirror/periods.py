"""The first day of the day, week or month that many days lie in: as the macros of `layout` do."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.calendar import WeekStart

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

GRAINS: Final = ("day", "week", "month")

# 1970-01-01 was a Thursday.
_SINCE_WEEK_START: Final = {WeekStart.MONDAY.value: 3, WeekStart.SUNDAY.value: 4}


def since_week_start(week_start: str) -> int:
    """How many days 1970-01-01 lies behind the beginning of its week."""
    return _SINCE_WEEK_START[week_start]


def periods(grain: str, days: Integers, shifts: Integers) -> Integers:
    """The first day of each day's period; `shifts` are what `since_week_start` says of each.

    Days are counted from 1970-01-01.
    """
    if grain == "day":
        return days
    if grain == "week":
        return days - (days + shifts) % 7
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    first_days: Integers = months.astype("datetime64[D]").astype(np.int64)
    return first_days
