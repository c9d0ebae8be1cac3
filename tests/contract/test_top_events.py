"""Top events: every engine, and the reference, give these rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import psycopg

from analytics.questions.day_range import DayRange
from analytics.questions.top_events import TopEvents
from tests.conftest import Database
from tests.contract.conftest import Ask, Shop

AUGUST = DayRange(date(2025, 8, 1), date(2025, 8, 31))


def counts(ask: Ask, question: TopEvents) -> list[tuple[str, int]]:
    return [(row.event_type, row.count) for row in ask(question)]


def test_most_frequent_come_first(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(*[("2025-08-02T10:00", "ann", event) for event in ("buy", "look", "look")])
    assert counts(ask, TopEvents(shop.project, AUGUST)) == [("look", 2), ("buy", 1)]


def test_ties_go_by_code_point(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    # In UTF-16 the otter would come before the tilde; a locale would mix the cases.
    names = ["", "🦦", "\uff5e", "é", "z", "e", "Z", "A", "_", "10", "9", " x"][1:]
    shop.happens(*(("2025-08-02T10:00", "ann", name) for name in names))
    in_order = [" x", "10", "9", "A", "Z", "_", "e", "z", "é", "\uff5e", "🦦"]
    assert counts(ask, TopEvents(shop.project, AUGUST)) == [(name, 1) for name in in_order[:10]]
    assert counts(ask, TopEvents(shop.project, AUGUST, 11)) == [(name, 1) for name in in_order]


def test_limit_cuts_ties_by_their_order(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.happens(*(("2025-08-02T10:00", "ann", name) for name in ("c", "b", "a", "d", "d")))
    assert counts(ask, TopEvents(shop.project, AUGUST, 2)) == [("d", 2), ("a", 1)]


def test_ties_are_cut_by_their_order_however_they_are_counted(
    ask: Ask, make_shop: Callable[..., Shop], module_database: Database
) -> None:
    shop = make_shop()
    names = [f"event {number * 7 % 500:03}" for number in range(500)]
    shop.happens(*(("2025-08-02T10:00", "ann", name) for name in names))
    with psycopg.connect(module_database.owner) as connection:
        connection.execute("analyze events")  # else Postgres groups by sorting, in their order
    expected = [(f"event {number:03}", 1) for number in range(7)]
    assert counts(ask, TopEvents(shop.project, AUGUST, 7)) == expected


def test_only_the_days_asked_about_count(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop("Europe/Kyiv")
    shop.happens(
        ("2025-07-31T20:59:59.999999", "ann", "before"),
        ("2025-07-31T21:00", "ann", "first"),
        ("2025-08-31T20:59:59.999999", "ann", "last"),
        ("2025-08-31T21:00", "ann", "after"),
    )
    assert counts(ask, TopEvents(shop.project, AUGUST)) == [("first", 1), ("last", 1)]


def test_no_events_give_no_rows(ask: Ask, make_shop: Callable[..., Shop]) -> None:
    shop, other = make_shop(), make_shop()
    other.happens(("2025-08-02T10:00", "ann", "look"))
    assert counts(ask, TopEvents(shop.project, AUGUST)) == []
