"""Calendar days and weeks of a time zone as half-open intervals of instants.

A day begins at the first instant whose local date is that day or a later one. So days partition
time, also where clocks went back across midnight (St John's, 1987 to 2011: the minute before
midnight came twice, and the second one still counts for the new day), where midnight never struck
(Sao Paulo), and where a whole day was left out (Apia, 2011-12-30: a day of no length).

Two forms say the same: `day_starts`, the boundaries, and `offsets`, what to add to an instant to
read its day off by division. An engine takes the one it is faster with; neither form names a zone,
so the time zone data that Postgres and DuckDB carry never have a say. The data are those of the
pinned tzdata package, never the machine's.

This module doesn't know questions or events. Source of the zones: IANA,
https://www.iana.org/time-zones.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from analytics.errors import UnknownZone

TZDATA_VERSION: Final[str] = version("tzdata")

# A year inside what datetime can hold, so that no zone's offset and no week's first day falls out
# of it.
FIRST_DAY: Final = date(2, 1, 1)
LAST_DAY: Final = date(9998, 12, 31)

_DAY_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

DAY_SECONDS: Final = 86_400
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
# More than the largest offset (16 hours) and the furthest a clock ever went back (24) together.
_MARGIN_SECONDS: Final = 2 * DAY_SECONDS
# Before the first of these years every zone keeps its mean solar time; after the last no question
# asks.
_FIRST_YEAR_OF_CHANGE, _LAST_YEAR_OF_CHANGE = 1800, 9998


# Dashboards ask about the same few ranges; the longest holds 18,000 instants.
_RANGES_KEPT: Final = 64


class WeekStart(StrEnum):
    """The weekday on which a project's weeks begin."""

    MONDAY = "monday"
    SUNDAY = "sunday"


class Offset(NamedTuple):
    """From `begins_at` (seconds since 1970 UTC) on, local time is UTC plus `seconds`."""

    begins_at: int
    seconds: int


@cache
def zone_names() -> frozenset[str]:
    """Every zone name of the pinned tzdata package."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of this exact IANA name.

    It is read from the tzdata package itself, so neither the machine's zone files nor PYTHONTZPATH
    matter.

    Raises:
        UnknownZone: the package has no zone of this name; the message suggests close ones.
    """
    if name not in zone_names():
        raise UnknownZone(_unknown_zone(name), field="timezone")
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _unknown_zone(name: str) -> str:
    lowered = {known.lower(): known for known in zone_names()}
    close = [lowered[match] for match in get_close_matches(name.lower(), lowered, n=3)]
    advice = (
        f"did you mean {' or '.join(close)}?"
        if close
        else "use an IANA name like Europe/Kyiv or UTC"
    )
    return f"{name!r} is not a time zone; {advice}"


def parse_day(text: str) -> date:
    """The day that `text` writes as YYYY-MM-DD, and in no other way.

    Raises:
        ValueError: it writes none; the message is fit for people.
    """
    if not _DAY_FORM.fullmatch(text):
        raise ValueError(f"{text!r} is not a day; write one like 2025-08-01")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a day: {error}; write one like 2025-08-01") from error


def local_date(zone_name: str, at: datetime) -> date:
    """The calendar day that the aware instant `at` counts for in the zone."""
    second = int((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    known = offsets(zone_name, at.date() - timedelta(days=1), at.date() + timedelta(days=1))
    offset = known[bisect_right(known, second, key=lambda each: each.begins_at) - 1]
    return day_of_number((second + offset.seconds) // DAY_SECONDS)


def day_number(day: date) -> int:
    """Days from 1970-01-01 to `day`, negative before it."""
    return day.toordinal() - _EPOCH_DAY


def day_of_number(number: int) -> date:
    """The inverse of `day_number`."""
    return date.fromordinal(number + _EPOCH_DAY)


def first_day_of_week(day: date, week_start: WeekStart) -> date:
    """The day on which the week of `day` begins."""
    days_into_week = day.isoweekday() % 7 if week_start is WeekStart.SUNDAY else day.weekday()
    return day - timedelta(days=days_into_week)


@lru_cache(maxsize=_RANGES_KEPT)
def day_starts(zone_name: str, first: date, last: date) -> tuple[datetime, ...]:
    """When each day from `first` to `last` begins, and the day after: UTC instants in order.

    Day i is the half-open interval [starts[i], starts[i + 1]); equal boundaries mean a day left
    out.
    """
    return _starts(zone_name, range(day_number(first), day_number(last) + 2))


@lru_cache(maxsize=_RANGES_KEPT)
def week_starts(zone_name: str, first: date, weeks: int) -> tuple[datetime, ...]:
    """When each of `weeks` weeks begins, from the day `first` on, and the week after them."""
    begin = day_number(first)
    return _starts(zone_name, range(begin, begin + 7 * weeks + 1, 7))


@lru_cache(maxsize=_RANGES_KEPT)
def offsets(zone_name: str, first: date, last: date) -> tuple[Offset, ...]:
    """Offsets that give every instant of the days `first` to `last` its day, by division alone.

    The day of an instant is `(second + seconds) // 86400` (see `day_number`) with the last offset
    that begins at or before it. They are the zone's own, but for clocks going back across midnight:
    there the new offset waits until it too reaches the new day, so that the days never run backward
    and are exactly those of `day_starts`.
    """
    begin = day_number(first) * DAY_SECONDS - _MARGIN_SECONDS
    end = (day_number(last) + 1) * DAY_SECONDS + _MARGIN_SECONDS
    monotone: list[Offset] = []
    latest_day = begin // DAY_SECONDS - 1
    for (changes_at, seconds), ends_at in _segments(zone_name, begin, end):
        begins_at = max(changes_at, latest_day * DAY_SECONDS - seconds)
        if begins_at < ends_at:
            monotone.append(Offset(begins_at, seconds))
            latest_day = (ends_at + seconds - 1) // DAY_SECONDS
    first_second, *_, end_second = (
        int(start.timestamp()) for start in day_starts(zone_name, first, last)
    )
    ends = [*(offset.begins_at for offset in monotone[1:]), end]
    return tuple(
        offset
        for offset, ends_at in zip(monotone, ends, strict=True)
        if ends_at > first_second and offset.begins_at < max(end_second, first_second + 1)
    )


def offsets_of_local_times(zone_name: str, first: date, last: date) -> tuple[Offset, ...]:
    """Offsets that give every local time of the days `first` to `last` its instant.

    The instant is the local second less the seconds of the last offset that begins at or before it;
    `begins_at` counts local seconds here. Of a local time that occurs twice, when clocks go back,
    the first is meant; one that is skipped, when they go forward, is read as if they hadn't gone
    yet.

    Source: PEP 495, fold=0.
    """
    begin = day_number(first) * DAY_SECONDS - _MARGIN_SECONDS
    end = (day_number(last) + 1) * DAY_SECONDS + _MARGIN_SECONDS
    segments = [offset for offset, _ in _segments(zone_name, begin, end)]
    earliest = Offset(begin - _MARGIN_SECONDS, segments[0].seconds)
    changes = (
        Offset(after.begins_at + max(before.seconds, after.seconds), after.seconds)
        for before, after in pairwise(segments)
    )
    return (earliest, *changes)


def _starts(zone_name: str, numbers: range) -> tuple[datetime, ...]:
    segments = _segments(
        zone_name,
        numbers[0] * DAY_SECONDS - _MARGIN_SECONDS,
        numbers[-1] * DAY_SECONDS + _MARGIN_SECONDS,
    )
    (begins_at, seconds), ends_at = next(segments)
    starts: list[datetime] = []
    for number in numbers:
        midnight = number * DAY_SECONDS
        while midnight - seconds >= ends_at:
            (begins_at, seconds), ends_at = next(segments)
        starts.append(datetime.fromtimestamp(max(begins_at, midnight - seconds), UTC))
    return tuple(starts)


def _segments(zone_name: str, begin: int, end: int) -> Iterator[tuple[Offset, int]]:
    """The zone's offsets from second `begin` to `end`, each with the second it ends."""
    years = range(_year(begin), _year(end) + 1)
    changes = [change for year in years for change in _changes(zone_name, year)]
    inside = [change for change in changes if begin < change.begins_at < end]
    bounds = [Offset(begin, _seconds_at(zone(zone_name), begin)), *inside, Offset(end, 0)]
    for offset, following in pairwise(bounds):
        yield offset, following.begins_at


def _year(second: int) -> int:
    return datetime.fromtimestamp(second, UTC).year


# One year of one zone is 366 looks; fifty years take 10 ms once and nothing afterwards.
@lru_cache(maxsize=8192)
def _changes(zone_name: str, year: int) -> tuple[Offset, ...]:
    """Every change of offset within a UTC year, in order of time.

    zoneinfo tells no transitions, so each day is looked at and a change bisected to the second.
    Changes closer than a day would be missed; the closest pair in tzdata 2026f is seven days apart.
    """
    if not _FIRST_YEAR_OF_CHANGE <= year <= _LAST_YEAR_OF_CHANGE:
        return ()
    of = zone(zone_name)
    bounds = range(day_number(date(year, 1, 1)), day_number(date(year + 1, 1, 1)) + 1)
    seconds = [number * DAY_SECONDS for number in bounds]
    looks = [_seconds_at(of, second) for second in seconds]
    return tuple(
        _change_between(of, seconds[i], seconds[i + 1])
        for i in range(len(looks) - 1)
        if looks[i] != looks[i + 1]
    )


def _change_between(of: ZoneInfo, before: int, after: int) -> Offset:
    old = _seconds_at(of, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _seconds_at(of, middle) == old:
            before = middle
        else:
            after = middle
    return Offset(after, _seconds_at(of, after))


def _seconds_at(of: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, of).utcoffset()
    assert offset is not None  # noqa: S101 - a ZoneInfo always knows its offset of an instant
    return int(offset.total_seconds())
