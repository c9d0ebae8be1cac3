"""Weekly retention: every engine, and the reference, give these rows.

2025-08-04 is a Monday.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from analytics.calendar import WeekStart
from analytics.questions.retention import Cell, Cohort, Retention
from tests.contract.conftest import Ask, Shop

MONDAY, LATER = date(2025, 8, 4), date(2025, 12, 31)


def active(rows: tuple[Cohort, ...]) -> dict[str, list[int | None]]:
    return {row.cohort.isoformat(): [cell.active for cell in row.weeks] for row in rows}


def test_users_come_back_or_not(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(
        ("2025-08-04T00:00", "ann"),
        ("2025-08-10T23:59:59.999999", "bob"),
        ("2025-08-05T00:00", "cleo"),
        ("2025-08-11T00:00", "ann"),
        ("2025-08-11T00:00", "bob"),
        ("2025-08-12T00:00", "bob"),
        ("2025-08-18T00:00", "cleo"),
    )
    assert ask(Retention(shop.project, MONDAY, LATER, 4)) == (
        Cohort(
            MONDAY,
            3,
            (
                Cell(0, 3, 100.0, complete=True),
                Cell(1, 2, 66.67, complete=True),
                Cell(2, 1, 33.33, complete=True),
                Cell(3, 0, 0.0, complete=True),
            ),
        ),
    )


def test_cohort_is_of_the_first_event_ever(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(
        ("2025-08-05T10:00", "known for long"),
        ("2025-08-05T10:00", "new"),
        ("0001-01-01T00:00", "known for long"),
        ("2025-08-12T10:00", "known for long"),
    )
    assert active(ask(Retention(shop.project, MONDAY, LATER, 2))) == {"2025-08-04": [1, 0]}


def test_late_event_moves_a_user_to_an_earlier_cohort(
    ask: Ask, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop()
    shop.happens(("2025-08-12T10:00", "ann"))
    assert active(ask(Retention(shop.project, MONDAY, LATER, 2))) == {"2025-08-11": [1, 0]}
    shop.happens(("2025-08-05T10:00", "ann"))
    assert active(ask(Retention(shop.project, MONDAY, LATER, 2))) == {"2025-08-04": [1, 1]}


@pytest.mark.parametrize(
    ("today", "cells"),
    [
        ("2025-08-10", [(1, False), (None, False), (None, False)]),
        ("2025-08-11", [(1, True), (1, False), (None, False)]),
        ("2025-08-17", [(1, True), (1, False), (None, False)]),
        ("2025-08-18", [(1, True), (1, True), (0, False)]),
        ("2025-08-25", [(1, True), (1, True), (0, True)]),
    ],
)
def test_weeks_not_begun_are_null_and_weeks_not_ended_incomplete(
    ask: Ask, make_shop: Callable[..., Shop], today: str, cells: list[tuple[int | None, bool]]
) -> None:
    shop = make_shop()
    shop.happens(("2025-08-04T10:00", "ann"), ("2025-08-11T10:00", "ann"))
    [cohort] = ask(Retention(shop.project, MONDAY, date.fromisoformat(today), 3))
    assert [(cell.active, cell.complete) for cell in cohort.weeks] == cells
    assert [cell.percent is None for cell in cohort.weeks] == [cell[0] is None for cell in cells]


def test_events_after_todays_week_do_not_count(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(
        ("2025-08-04T10:00", "ann"),
        ("2025-08-10T10:00", "later this week"),
        ("2025-08-11T00:00", "next week"),
        ("2025-08-11T00:00", "ann"),
        ("9999-12-31T00:00", "in the far future"),
    )
    question = Retention(shop.project, MONDAY, date(2025, 8, 6), 2)
    assert active(ask(question)) == {"2025-08-04": [2, None]}


def test_cohorts_are_gap_free_from_the_first_to_the_last_with_users(
    ask: Ask, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop()
    shop.happens(("2025-08-12T10:00", "ann"), ("2025-08-26T10:00", "bob"))
    rows = ask(Retention(shop.project, MONDAY, LATER, 1))
    assert active(rows) == {"2025-08-11": [1], "2025-08-18": [0], "2025-08-25": [1]}
    assert rows[1] == Cohort(date(2025, 8, 18), 0, (Cell(0, 0, None, complete=True),))


def test_start_date_counts_from_the_start_of_its_week(
    ask: Ask, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop()
    shop.happens(("2025-08-03T23:59:59", "before"), ("2025-08-04T00:00", "ann"))
    rows = ask(Retention(shop.project, date(2025, 8, 10), LATER, 1))
    assert active(rows) == {"2025-08-04": [1]}


def test_weeks_can_start_on_sunday_in_the_projects_zone(
    ask: Ask, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop("America/New_York", WeekStart.SUNDAY)
    shop.happens(
        ("2025-03-09T04:59:59", "saturday"),
        ("2025-03-09T05:00", "sunday"),
        ("2025-03-16T03:59:59", "sunday"),  # Saturday night; clocks went forward on Sunday
        ("2025-03-16T04:00", "saturday"),
    )
    question = Retention(shop.project, date(2025, 3, 4), LATER, 3)
    assert active(ask(question)) == {"2025-03-02": [1, 0, 1], "2025-03-09": [1, 0, 0]}


def test_start_after_today_gives_no_cohorts(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(("2025-08-04T10:00", "ann"))
    assert ask(Retention(shop.project, date(2025, 8, 6), date(2025, 8, 5))) == ()
    assert ask(Retention(shop.project, date(2030, 1, 1), date(2025, 8, 5))) == ()


def test_two_years_of_weeks_are_told_apart(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(
        ("2023-08-07T10:00", "ann"),
        ("2025-07-28T10:00", "ann"),  # 103 weeks later, the last one shown
        ("2025-08-04T10:00", "ann"),
    )
    [row] = ask(Retention(shop.project, date(2023, 8, 7), MONDAY, 104))
    assert [cell.week for cell in row.weeks if cell.active] == [0, 103]


def test_fifty_years_of_cohorts_are_told_apart(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(
        ("1975-08-11T10:00", "ann"),
        ("2025-08-04T10:00", "ann"),
        ("2025-08-04T10:00", "bob"),
    )
    rows = ask(Retention(shop.project, date(1975, 8, 11), MONDAY, 1))
    assert len(rows) == 2609
    assert [row.cohort for row in rows if row.size] == [date(1975, 8, 11), MONDAY]
