"""Local times of a zone as instants, a column at a time.

By the tz data of Python's zoneinfo, as every day that Tidemark counts; Arrow has tables of its own.
Of a local time that occurs twice, when clocks go back, the first is meant; one that is skipped,
when they go forward, is read as if they hadn't gone yet (PEP 495, fold=0).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone
_PROBES: Final = range(-24, 49)  # hours around a day


def to_utc(local: Micros, zone: ZoneInfo) -> Micros:
    """Microseconds since 1970 in UTC for such in the zone's local time, years 1 to 9999."""
    days, places = np.unique(local // _DAY, return_inverse=True)
    offsets = [_offset_of_day(zone, day) for day in days.tolist()]
    result = local - np.array([offset or 0 for offset in offsets], np.int64)[places]
    for number, offset in enumerate(offsets):
        if offset is None:
            rows = np.flatnonzero(places == number)
            moments, of_moment = np.unique(local[rows], return_inverse=True)
            shifts = [_offset(zone, micros) for micros in moments.tolist()]
            result[rows] -= np.array(shifts, np.int64)[of_moment]
    return result


@lru_cache(4096)
def _offset_of_day(zone: ZoneInfo, day: int) -> int | None:
    """The one offset of a day and its neighbours; None if clocks were changed."""
    found = {_offset(zone, day * _DAY + hour * 3_600 * _SECOND) for hour in _PROBES}
    return found.pop() if len(found) == 1 else None


def _offset(zone: ZoneInfo, local: int) -> int:
    """Local time less UTC, in microseconds. Beyond the calendar's ends that of the end."""
    micros = min(max(local, _FIRST), _LAST)
    moment = (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=zone)
    offset = moment.utcoffset() or timedelta(0)
    return offset // timedelta(microseconds=1)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


# Neighbours of a day within these have an offset too.
_FIRST: Final = _micros(datetime(1, 1, 3))  # noqa: DTZ001
_LAST: Final = _micros(datetime(9999, 12, 29))  # noqa: DTZ001
