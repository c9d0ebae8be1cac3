"""What a question costs, and who an address is."""

from __future__ import annotations

from datetime import date

import pytest

from analytics.calendar import WeekStart
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.retention import Retention
from app.limits import Payer, PayerKind, cost, network

PROJECT = Project(ProjectId(1), "shop", "UTC", WeekStart.MONDAY)


def dau(first: date, last: date) -> Dau:
    return Dau(PROJECT, DayRange(first, last))


@pytest.mark.parametrize(
    ("first", "last", "engine", "points"),
    [
        (date(2025, 8, 1), date(2025, 8, 1), None, 1),
        (date(2025, 8, 1), date(2025, 10, 30), "mirror", 1),
        (date(2025, 8, 1), date(2025, 10, 31), None, 2),
        (date(2025, 8, 1), date(2025, 8, 1), "postgres", 10),
        (date(2024, 1, 1), date(2024, 12, 31), "attached", 40),
    ],
)
def test_a_question_costs_by_its_days_and_engine(
    first: date, last: date, engine: str | None, points: int
) -> None:
    assert cost(dau(first, last), engine) == points


def test_retention_costs_by_the_weeks_of_its_cohorts() -> None:
    today = date(2025, 8, 1)
    assert cost(Retention(PROJECT, date(2025, 7, 1), today), None) == 1
    assert cost(Retention(PROJECT, date(2023, 8, 1), today), None) == 8


@pytest.mark.parametrize(
    ("host", "charged"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_is_charged_as_a_network(host: str, charged: str) -> None:
    assert network(host) == charged


def test_no_email_address_gets_into_redis() -> None:
    name = str(Payer(PayerKind.ACCOUNT, "ann@example.com"))
    assert "ann" not in name
    assert name != str(Payer(PayerKind.ACCOUNT, "bob@example.com"))


def test_only_keys_pass_without_redis() -> None:
    assert [kind for kind in PayerKind if Payer(kind, "1").passes_without_redis] == [PayerKind.KEY]
