"""What can't be asked, and how answers are put together from an engine's compact ones."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from analytics.answer import Answer, Meta
from analytics.calendar import WeekStart
from analytics.errors import InvalidQuestion
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.dau import Dau, DayUsers
from analytics.questions.day_range import DayRange
from analytics.questions.retention import Cell, Cohort, Retention, percent
from analytics.questions.top_events import EventCount, TopEvents

SHOP = Project(ProjectId(1), "shop")
DAY = date(2025, 8, 4)
REACH = "days from 0002-01-01 to 9998-12-31 can be asked about"


def retention(**changes: Any) -> Retention:
    given: dict[str, Any] = {"project": SHOP, "start_date": DAY, "today": DAY}
    return Retention(**{**given, **changes})


@pytest.mark.parametrize(
    ("ask", "field", "message"),
    [
        (
            lambda: DayRange(DAY, date(2025, 8, 3)),
            "from",
            "from is 2025-08-04, after to, 2025-08-03; give the earlier day as from",
        ),
        (
            lambda: DayRange(date(1975, 1, 1), date(2025, 1, 1)),
            "from",
            "from 1975-01-01 to 2025-01-01 are 18264 days; "
            "ask for at most fifty years (18263 days)",
        ),
        (lambda: DayRange(date(1, 12, 31), DAY), "from", f"from is 0001-12-31; {REACH}"),
        (lambda: DayRange(DAY, date(9999, 1, 1)), "to", f"to is 9999-01-01; {REACH}"),
        (
            lambda: DayRange(datetime(2025, 8, 4, tzinfo=UTC), DAY),
            "from",
            "from is datetime.datetime(2025, 8, 4, 0, 0, tzinfo=datetime.timezone.utc); "
            "give a calendar day like 2025-08-01",
        ),
        (
            lambda: TopEvents(SHOP, DayRange(DAY, DAY), 0),
            "limit",
            "limit is 0; ask for 1 to 1000 event types",
        ),
        (
            lambda: TopEvents(SHOP, DayRange(DAY, DAY), 1001),
            "limit",
            "limit is 1001; ask for 1 to 1000 event types",
        ),
        (
            lambda: TopEvents(SHOP, DayRange(DAY, DAY), True),
            "limit",
            "limit is True; ask for 1 to 1000 event types",
        ),
        (lambda: retention(window=0), "window", "window is 0; show 1 to 104 weeks"),
        (lambda: retention(window=105), "window", "window is 105; show 1 to 104 weeks"),
        (lambda: retention(window=8.0), "window", "window is 8.0; show 1 to 104 weeks"),
        (
            lambda: retention(start_date=date(1975, 8, 4)),
            "start_date",
            "start_date is 1975-08-04, more than fifty years before 2025-08-04; "
            "start at most fifty years (18263 days) back",
        ),
        (
            lambda: retention(start_date=date(1, 1, 1)),
            "start_date",
            f"start_date is 0001-01-01; {REACH}",
        ),
        (lambda: retention(today=date(9999, 1, 1)), "today", f"today is 9999-01-01; {REACH}"),
        (
            lambda: Project(ProjectId(0), "shop"),
            "project_id",
            "project id 0 is not one; ids are whole numbers from 1 to 2147483647",
        ),
        (
            lambda: Project(ProjectId(2**31), "shop"),
            "project_id",
            "project id 2147483648 is not one; ids are whole numbers from 1 to 2147483647",
        ),
        (
            lambda: Project(ProjectId(1), "shop", week_start="tuesday"),  # type: ignore[arg-type]
            "week_start",
            "week_start is 'tuesday'; weeks start on monday or sunday",
        ),
    ],
)
def test_question_without_an_answer_is_refused(
    ask: Callable[[], object], field: str, message: str
) -> None:
    with pytest.raises(InvalidQuestion) as caught:
        ask()
    assert (str(caught.value), caught.value.field) == (message, field)


def test_longest_questions_are_allowed() -> None:
    assert len(DayRange(date(1975, 1, 1), date(2024, 12, 31))) == 18263
    assert retention(start_date=date(1975, 8, 5)).cohort_weeks == 2610
    assert dict(retention(start_date=date(9998, 12, 31), today=date(9998, 12, 31)).parameters())
    assert dict(retention(start_date=date(2, 1, 1), today=date(2, 1, 1)).parameters())


def test_week_start_may_be_a_plain_word() -> None:
    assert Project(ProjectId(1), "shop", week_start="sunday").week_start is WeekStart.SUNDAY  # type: ignore[arg-type]


def test_days_of_a_range_are_in_order() -> None:
    assert list(DayRange(date(2024, 2, 28), date(2024, 3, 1))) == [
        date(2024, 2, 28),
        date(2024, 2, 29),
        date(2024, 3, 1),
    ]


def test_days_missing_in_a_compact_answer_are_0() -> None:
    question = Dau(SHOP, DayRange(DAY, date(2025, 8, 6)))
    assert question.rows([(2, 7), (0, 5)]) == (
        DayUsers(DAY, 5),
        DayUsers(date(2025, 8, 5), 0),
        DayUsers(date(2025, 8, 6), 7),
    )


def test_rows_of_one_day_add_up() -> None:
    question = Dau(SHOP, DayRange(DAY, date(2025, 8, 5)))
    assert question.rows([(1, 7), (0, 5), (1, -2)]) == (
        DayUsers(DAY, 5),
        DayUsers(date(2025, 8, 5), 5),
    )


def test_top_events_are_ordered_whatever_order_they_come_in() -> None:
    question = TopEvents(SHOP, DayRange(DAY, DAY))
    assert question.rows([("b", 1), ("c", 2), ("a", 1)]) == (
        EventCount("c", 2),
        EventCount("a", 1),
        EventCount("b", 1),
    )


def test_cells_are_0_where_begun_and_null_where_not() -> None:
    question = retention(today=date(2025, 8, 12), window=3)
    assert question.rows([(1, 0, 3), (0, 0, 2)]) == (
        Cohort(
            DAY,
            2,
            (
                Cell(0, 2, 100.0, complete=True),
                Cell(1, 0, 0.0, complete=False),
                Cell(2, None, None, complete=False),
            ),
        ),
        Cohort(
            date(2025, 8, 11),
            3,
            (
                Cell(0, 3, 100.0, complete=False),
                Cell(1, None, None, complete=False),
                Cell(2, None, None, complete=False),
            ),
        ),
    )


def test_rows_of_one_cell_add_up_and_a_cohort_without_users_is_none() -> None:
    question = retention(today=date(2025, 8, 20), window=1)
    found = question.rows([(0, 0, 2), (1, 0, 3), (0, 0, -2), (1, 0, -1)])
    assert found == (Cohort(date(2025, 8, 11), 2, (Cell(0, 2, 100.0, complete=True),)),)


def test_nothing_found_gives_no_cohorts() -> None:
    assert retention().rows([]) == ()


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (1, 3, 33.33),
        (2, 3, 66.67),
        (1, 800, 0.13),  # exactly 0.125
        (3, 800, 0.38),  # exactly 0.375
        (57, 800, 7.13),  # exactly 7.125
        (1, 20_001, 0.0),
        (1, 20_000, 0.01),  # exactly 0.005
        (7, 7, 100.0),
        (0, 7, 0.0),
        (2**53 + 1, 2**54 + 2, 50.0),
        (0, 0, None),
    ],
)
def test_percent_rounds_halves_up_exactly(part: int, whole: int, expected: float | None) -> None:
    assert percent(part, whole) == expected


def test_percent_equals_decimal_arithmetic() -> None:
    for whole in range(1, 200):
        for part in range(whole + 1):
            exact = Decimal(100 * part) / whole
            assert percent(part, whole) == float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def test_answer_as_json() -> None:
    meta = Meta("postgres", "asked for", datetime(2025, 8, 1, 12, tzinfo=UTC), 1.23456)
    question = retention(window=2)
    rows = (
        DayUsers(DAY, 12),
        EventCount("login", 34),
        *question.rows([(0, 0, 10)]),
    )
    assert Answer(rows, meta).as_json() == {
        "data": [
            {"day": "2025-08-04", "dau": 12},
            {"event_type": "login", "count": 34},
            {
                "cohort": "2025-08-04",
                "size": 10,
                "weeks": [
                    {"week": 0, "active": 10, "percent": 100.0, "complete": False},
                    {"week": 1, "active": None, "percent": None, "complete": False},
                ],
            },
        ],
        "meta": {
            "engine": "postgres",
            "reason": "asked for",
            "as_of": "2025-08-01T12:00:00.000000Z",
            "lag_seconds": 0.0,
            "data_version": None,
            "elapsed_ms": 1.235,
        },
    }


def test_reason_can_be_replaced() -> None:
    meta = Meta("postgres", "asked for", datetime(2025, 8, 1, tzinfo=UTC), 1.0)
    answer: Answer[DayUsers] = Answer((DayUsers(DAY, 1),), meta)
    assert answer.because("faster").meta.reason == "faster"
    assert answer.because("faster").rows == answer.rows


def test_questions_survive_pickling_and_can_be_keys() -> None:
    questions = [Dau(SHOP, DayRange(DAY, DAY)), TopEvents(SHOP, DayRange(DAY, DAY)), retention()]
    again = [pickle.loads(pickle.dumps(question)) for question in questions]  # noqa: S301 - our own
    assert again == questions
    assert set(again) == set(questions)
