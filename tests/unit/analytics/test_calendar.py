"""Days and weeks of time zones, by hand and at the edges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from analytics.calendar import (
    Offset,
    WeekStart,
    day_number,
    day_of_number,
    day_starts,
    first_day_of_week,
    local_date,
    offsets,
    parse_day,
    week_starts,
    zone,
    zone_names,
)
from analytics.errors import UnknownZone


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def second(text: str) -> int:
    return int(instant(text).timestamp())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Europe/Kiyv",
            "'Europe/Kiyv' is not a time zone; did you mean Europe/Kyiv or Europe/Kiev",
        ),
        (
            "europe/kyiv",
            "'europe/kyiv' is not a time zone; did you mean Europe/Kyiv or Europe/Kiev",
        ),
        ("", "'' is not a time zone; use an IANA name like Europe/Kyiv or UTC"),
        ("../UTC", "'../UTC' is not a time zone; did you mean"),
        ("xxxxxxxx", "'xxxxxxxx' is not a time zone; use an IANA name like Europe/Kyiv or UTC"),
    ],
)
def test_unknown_zone_suggests_close_names(name: str, message: str) -> None:
    with pytest.raises(UnknownZone) as caught:
        zone(name)
    assert str(caught.value).startswith(message)
    assert caught.value.field == "timezone"


def test_zones_are_the_packages_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONTZPATH", "/nowhere")
    zone.cache_clear()
    kyiv = zone("Europe/Kyiv")
    assert (kyiv.key, str(kyiv)) == ("Europe/Kyiv", "Europe/Kyiv")
    assert kyiv is not ZoneInfo("Europe/Kyiv")
    assert all(zone(name).key == name for name in zone_names())


def test_days_of_utc_are_24_hours() -> None:
    starts = day_starts("UTC", date(2025, 2, 27), date(2025, 3, 1))
    assert starts == tuple(
        instant(day) for day in ("2025-02-27", "2025-02-28", "2025-03-01", "2025-03-02")
    )
    assert offsets("UTC", date(2025, 2, 27), date(2025, 3, 1)) == (Offset(second("2025-02-25"), 0),)


def test_days_are_shorter_and_longer_where_clocks_change() -> None:
    spring = day_starts("America/New_York", date(2025, 3, 9), date(2025, 3, 9))
    autumn = day_starts("America/New_York", date(2025, 11, 2), date(2025, 11, 2))
    assert spring == (instant("2025-03-09T05:00"), instant("2025-03-10T04:00"))
    assert autumn == (instant("2025-11-02T04:00"), instant("2025-11-03T05:00"))


def test_offset_waits_where_clocks_go_back_across_midnight() -> None:
    first, then = offsets("America/St_Johns", date(2006, 10, 29), date(2006, 10, 29))
    assert first.seconds == -9000
    # Clocks went back at 02:31 UTC; only at 03:30 UTC do they reach the 29th again.
    assert then == Offset(second("2006-10-29T03:30"), -12600)


def test_day_left_out_has_no_length() -> None:
    starts = day_starts("Pacific/Apia", date(2011, 12, 29), date(2011, 12, 31))
    assert starts == (
        instant("2011-12-29T10:00"),
        instant("2011-12-30T10:00"),
        instant("2011-12-30T10:00"),
        instant("2011-12-31T10:00"),
    )


def test_mean_solar_time_is_kept_to_the_second() -> None:
    assert day_starts("Europe/Amsterdam", date(1850, 1, 1), date(1850, 1, 1))[0] == instant(
        "1849-12-31T23:42:30"
    )


def test_weeks_begin_on_their_days_start() -> None:
    starts = week_starts("America/New_York", date(2025, 3, 3), 2)
    assert starts == (
        instant("2025-03-03T05:00"),
        instant("2025-03-10T04:00"),
        instant("2025-03-17T04:00"),
    )
    assert week_starts("UTC", date(2025, 3, 3), 0) == (instant("2025-03-03"),)


@pytest.mark.parametrize("day", [date(2025, 8, 4) + timedelta(days=i) for i in range(7)])
def test_week_of_a_day(day: date) -> None:
    assert first_day_of_week(day, WeekStart.MONDAY) == date(2025, 8, 4)
    sunday = date(2025, 8, 10) if day == date(2025, 8, 10) else date(2025, 8, 3)
    assert first_day_of_week(day, WeekStart.SUNDAY) == sunday


@pytest.mark.parametrize(
    ("zone_name", "at", "expected"),
    [
        ("UTC", "2025-08-01T23:59:59.999999", "2025-08-01"),
        ("Pacific/Kiritimati", "2025-08-01T10:00", "2025-08-02"),
        ("America/New_York", "2025-08-01T03:59:59", "2025-07-31"),
        ("America/St_Johns", "2006-10-29T02:45", "2006-10-29"),  # clocks show the 28th again
        ("Pacific/Apia", "2011-12-30T10:00", "2011-12-31"),
        ("UTC", "1969-12-31T23:59:59.5", "1969-12-31"),
    ],
)
def test_local_date_is_the_day_an_instant_counts_for(
    zone_name: str, at: str, expected: str
) -> None:
    assert local_date(zone_name, instant(at)) == date.fromisoformat(expected)


def test_day_numbers_count_from_1970() -> None:
    assert [day_number(date(1969, 12, 31)), day_number(date(1970, 1, 1))] == [-1, 0]
    assert day_of_number(day_number(date(2, 1, 1))) == date(2, 1, 1)


def test_day_is_parsed_from_its_one_form() -> None:
    assert parse_day("2025-08-01") == date(2025, 8, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20250801",
        "2025-W31-5",
        "2025-8-1",
        "2025-08-01T00:00",
        " 2025-08-01",
        "\u0662\u0660\u0662\u0665-08-01",
    ],
)
def test_day_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a day; write one like 2025-08-01"):
        parse_day(text)


def test_day_that_does_not_exist_is_refused_with_the_cause() -> None:
    with pytest.raises(ValueError, match=r"'2025-02-30' is not a day: day .*; write one like"):
        parse_day("2025-02-30")
