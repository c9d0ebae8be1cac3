"""Daily active users: every engine, and the reference, give these rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from tests.contract.conftest import Ask, Shop


def counts(ask: Ask, shop: Shop, first: str, last: str) -> dict[str, int]:
    days = DayRange(date.fromisoformat(first), date.fromisoformat(last))
    return {row.day.isoformat(): row.dau for row in ask(Dau(shop.project, days))}


def test_users_are_counted_once_a_day_and_days_without_events_are_0(
    ask: Ask, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop()
    shop.happens(
        ("2025-08-03T10:00", "ann", "buy"),
        ("2025-08-01T10:00", "ann"),
        ("2025-08-01T11:00", "ann"),
        ("2025-08-01T12:00", "bob"),
    )
    assert counts(ask, shop, "2025-07-31", "2025-08-04") == {
        "2025-07-31": 0,
        "2025-08-01": 2,
        "2025-08-02": 0,
        "2025-08-03": 1,
        "2025-08-04": 0,
    }


def test_project_without_events_has_all_its_days(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    assert counts(ask, make_shop(), "2025-08-01", "2025-08-02") == {
        "2025-08-01": 0,
        "2025-08-02": 0,
    }


def test_day_holds_its_first_instant_and_not_the_next_days(
    ask: Ask, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop("America/New_York")
    shop.happens(
        ("2025-03-09T04:59:59.999999", "eve"),  # the evening before
        ("2025-03-09T05:00:00", "first"),
        ("2025-03-10T03:59:59.999999", "last"),  # an hour early: clocks went forward
        ("2025-03-10T04:00:00", "next"),
    )
    assert counts(ask, shop, "2025-03-09", "2025-03-09") == {"2025-03-09": 2}
    assert counts(ask, shop, "2025-03-08", "2025-03-10") == {
        "2025-03-08": 1,
        "2025-03-09": 2,
        "2025-03-10": 1,
    }


def test_other_projects_events_do_not_count(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop, other = make_shop(), make_shop()
    shop.happens(("2025-08-01T10:00", "ann"))
    other.happens(("2025-08-01T10:00", "ann"), ("2025-08-01T10:00", "bob"))
    assert counts(ask, shop, "2025-08-01", "2025-08-01") == {"2025-08-01": 1}


def test_users_differ_by_every_character(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    users = [
        "ann",
        "Ann",
        "ann ",
        " ann",
        "änn",
        "a\u0308nn",
        "%s",
        "$1",
        "'",
        "\\",
        "🦦",
        "1",
        "01",
    ]
    shop.happens(*(("2025-08-01T10:00", user) for user in users))
    assert counts(ask, shop, "2025-08-01", "2025-08-01") == {"2025-08-01": len(users)}


def test_time_before_1970_is_floored(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop("Asia/Kolkata")
    shop.happens(("1969-12-30T18:29:59.999999", "ann"), ("1969-12-30T18:30", "ann"))
    assert counts(ask, shop, "1969-12-30", "1969-12-31") == {"1969-12-30": 1, "1969-12-31": 1}


@pytest.mark.parametrize(
    ("zone", "events", "expected"),
    [
        pytest.param(
            "America/St_Johns",
            # 00:00:59 on the 29th, then twice the last hour of the 28th once more, then the 29th.
            ["2006-10-29T02:29:59", "2006-10-29T02:30:59", "2006-10-29T02:31", "2006-10-29T03:31"],
            {"2006-10-28": 1, "2006-10-29": 3, "2006-10-30": 0},
            id="clocks go back across midnight",
        ),
        pytest.param(
            "America/Sao_Paulo",
            ["2018-11-04T02:59:59", "2018-11-04T03:00", "2018-11-05T01:59:59", "2018-11-05T02:00"],
            {"2018-11-03": 1, "2018-11-04": 2, "2018-11-05": 1},
            id="midnight does not exist",
        ),
        pytest.param(
            "America/Toronto",
            ["1919-03-31T04:29:59", "1919-03-31T04:30", "1919-04-01T03:59:59", "1919-04-01T04:00"],
            {"1919-03-30": 1, "1919-03-31": 2, "1919-04-01": 1},
            id="clocks jump over midnight",
        ),
        pytest.param(
            "Pacific/Apia",
            ["2011-12-30T09:59:59", "2011-12-30T10:00", "2011-12-31T09:59:59", "2011-12-31T10:00"],
            {"2011-12-29": 1, "2011-12-30": 0, "2011-12-31": 2, "2012-01-01": 1},
            id="a day is left out",
        ),
    ],
)
def test_days_follow_the_zone_where_(
    ask: Ask,
    make_shop: Callable[..., Shop],
    zone: str,
    events: list[str],
    expected: dict[str, int],
) -> None:
    shop = make_shop(zone)
    shop.happens(*((at, f"user {i}") for i, at in enumerate(events)))
    assert counts(ask, shop, min(expected), max(expected)) == expected


def test_first_and_last_days_that_can_be_asked_about(
    ask: Ask, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop("Pacific/Kiritimati")
    shop.happens(
        ("0001-01-01T00:00", "adam"),
        ("0002-01-01T10:40:00", "ann"),
        ("9998-12-31T09:59:59.999999", "zoe"),
        ("9999-12-31T23:59:59.999999", "omega"),
    )
    assert counts(ask, shop, "0002-01-01", "0002-01-01") == {"0002-01-01": 1}
    assert counts(ask, shop, "9998-12-31", "9998-12-31") == {"9998-12-31": 1}
