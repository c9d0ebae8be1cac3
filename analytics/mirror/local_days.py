"""The local day of many instants at once, by the offsets of `analytics.calendar`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.calendar import DAY_SECONDS, FIRST_DAY, LAST_DAY, offsets

Integers = npt.NDArray[np.int64]

_MICROSECONDS: Final = 1_000_000
_AROUND: Final = timedelta(days=2)


def local_days(zone_name: str, us: Integers) -> Integers:
    """Days since 1970-01-01 that the instants, in microseconds since then, count for in the zone.

    They are those of `calendar.day_starts`. Outside of the years 2 to 9998, which no question
    reaches, the nearest offset inside counts.
    """
    if not len(us):
        return us
    first, last = _years(np.array([us.min(), us.max()]))
    # Mostly it is one for all, and the others are not looked at.
    if first == last:
        return _local_days_of_year(zone_name, int(first), us)
    years = _years(us)
    days = np.empty(len(us), np.int64)
    for year in np.unique(years):
        chosen = years == year
        days[chosen] = _local_days_of_year(zone_name, int(year), us[chosen])
    return days


def _local_days_of_year(zone_name: str, year: int, us: Integers) -> Integers:
    begins, added = _offsets_of_year(zone_name, year)
    at = us // _MICROSECONDS
    latest = np.maximum(np.searchsorted(begins, at, side="right") - 1, 0)
    days: Integers = (at + added[latest]) // DAY_SECONDS
    return days


def day_starts(zone_name: str, years: Iterable[int]) -> tuple[Integers, Integers]:
    """When the local day changes within these UTC years: instants in order, and the day from then.

    Both as in `local_days`; the day of an instant is that of the latest start at or before it. Each
    year opens with a start of its own, whatever the years before it.
    """
    starts = [np.empty(0, np.int64)]
    for year in years:
        begins, added = _offsets_of_year(zone_name, year)
        first, end = (_seconds(each) for each in (year, year + 1))
        midnights = [
            np.arange((first + offset) // DAY_SECONDS, (end + offset) // DAY_SECONDS + 1)
            * DAY_SECONDS
            - offset
            for offset in np.unique(added)
        ]
        found = np.concatenate([[first], begins, *midnights])
        starts.append(found[(found >= first) & (found < end)])
    us = np.unique(np.concatenate(starts)) * _MICROSECONDS
    return us, local_days(zone_name, us)


def _years(us: Integers) -> Integers:
    """The UTC year of each instant."""
    return us.astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64) + 1970


def _seconds(year: int) -> int:
    """From 1970 to the beginning of the UTC year."""
    return int(np.datetime64(year - 1970, "Y").astype("datetime64[s]").astype(np.int64))


# A batch mostly lies within a year or two; all years of all zones would be millions.
@lru_cache(maxsize=4096)
def _offsets_of_year(zone_name: str, year: int) -> tuple[Integers, Integers]:
    inside = min(max(year, FIRST_DAY.year), LAST_DAY.year)
    first = max(FIRST_DAY, date(inside, 1, 1) - _AROUND)
    last = min(LAST_DAY, date(inside, 12, 31) + _AROUND)
    known = np.array(offsets(zone_name, first, last), np.int64)
    return known[:, 0], known[:, 1]
