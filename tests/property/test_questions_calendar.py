"""Two forms of days, and a third way to find them, agree in every zone and every year."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics.calendar import (
    FIRST_DAY,
    LAST_DAY,
    day_of_number,
    day_starts,
    local_date,
    offsets,
    week_starts,
    zone_names,
)
from analytics.reference.event import local_day

ODD_ZONES = (
    "America/Juneau",  # a day back in 1867
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Toronto",
    "Asia/Manila",  # a day forward in 1844
    "Pacific/Apia",
    "Pacific/Kwajalein",
)
ZONES = st.sampled_from(ODD_ZONES) | st.sampled_from(sorted(zone_names()))
DAYS = st.dates(date(1840, 1, 1), date(2060, 1, 1)) | st.dates(
    FIRST_DAY + timedelta(days=9), LAST_DAY - timedelta(days=9)
)


@settings(max_examples=300)
@given(zone=ZONES, first=DAYS, length=st.integers(0, 8), at=st.floats(0, 1))
@example("America/St_Johns", date(2006, 10, 29), 0, 0.02)
@example("America/Toronto", date(1919, 3, 30), 1, 0.5)
@example("Pacific/Apia", date(2011, 12, 29), 2, 0.5)
@example("America/Juneau", date(1867, 10, 18), 2, 0.5)
def test_day_of_an_instant_is_the_same_three_ways(
    zone: str, first: date, length: int, at: float
) -> None:
    last = first + timedelta(days=length)
    starts = day_starts(zone, first, last)
    assert len(starts) == length + 2
    assert list(starts) == sorted(starts)
    for instant in _instants(starts, at):
        day = first + timedelta(days=bisect_right(starts, instant) - 1)
        assert local_day(zone, instant) == day
        assert _day_by_offsets(zone, first, last, instant) == day
        assert local_date(zone, instant) == day


@settings(max_examples=100)
@given(zone=ZONES, first=DAYS, weeks=st.integers(0, 60))
def test_weeks_begin_with_their_first_day(zone: str, first: date, weeks: int) -> None:
    first = min(first, LAST_DAY - timedelta(weeks=weeks))
    days = day_starts(zone, first, first + timedelta(days=7 * weeks))
    assert week_starts(zone, first, weeks) == days[: 7 * weeks + 1 : 7]


@settings(max_examples=50)
@given(zone=ZONES, first=DAYS, length=st.integers(0, 400), cut=st.floats(0, 1))
def test_days_do_not_depend_on_the_range_they_are_asked_in(
    zone: str, first: date, length: int, cut: float
) -> None:
    first = min(first, LAST_DAY - timedelta(days=length))
    last, middle = (first + timedelta(days=round(length * part)) for part in (1, cut))
    whole = day_starts(zone, first, last)
    assert day_starts(zone, first, middle)[:-2] + day_starts(zone, middle, last) == whole


def _instants(starts: tuple[datetime, ...], at: float) -> set[datetime]:
    """One instant anywhere, and those on either side of each boundary, within the days."""
    tick = timedelta(microseconds=1)
    anywhere = starts[0] + at * (starts[-1] - starts[0])
    candidates = {anywhere, *starts, *(start - tick for start in starts)}
    return {instant for instant in candidates if starts[0] <= instant < starts[-1]}


def _day_by_offsets(zone: str, first: date, last: date, instant: datetime) -> date:
    known = offsets(zone, first, last)
    second = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    latest = [offset for offset in known if offset.begins_at <= second][-1]
    return day_of_number((second + latest.seconds) // 86_400)
