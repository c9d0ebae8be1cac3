"""An event as the reference reads it, and the local day it counts for."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from analytics.calendar import zone

# No clock went back by more than a day, so a local date can be passed again only that much later.
_LOOK_BACK: Final = timedelta(hours=25)
_MINUTE: Final = timedelta(minutes=1)


class Event(NamedTuple):
    """One event; `occurred_at` is an aware datetime."""

    project_id: int
    occurred_at: datetime
    user_id: str
    event_type: str


def local_day(zone_name: str, at: datetime) -> date:
    """The latest date that the zone's clocks had shown by the instant `at`.

    Where clocks never went back it is the date they show. Instants so near to the ends of datetime
    that their local date is outside it count for the last date inside.
    """
    clock = zone(zone_name)
    try:
        before = (at - _LOOK_BACK).astimezone(clock)
        now = at.astimezone(clock)
    except OverflowError:
        return date.min if at.year == date.min.year else date.max
    if _offset(now) >= _offset(before):
        return now.date()
    return max(_date_before(clock, at, minutes) for minutes in range(25 * 60 + 1))


def _date_before(clock: ZoneInfo, at: datetime, minutes: int) -> date:
    return (at - minutes * _MINUTE).astimezone(clock).date()


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()
