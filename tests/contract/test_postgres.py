"""The engine `postgres` alone: whose pool it uses, and that it can't write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from analytics.engines.postgres import PostgresEngine
from analytics.questions.dau import Dau, DayUsers
from analytics.questions.day_range import DayRange
from tests.conftest import Database
from tests.contract.conftest import Shop

DAY = date(2025, 8, 1)


def test_pool_handed_in_is_used_and_left_as_it_was(
    make_shop: Callable[..., Shop], module_database: Database
) -> None:
    shop = make_shop()
    shop.happens(("2025-08-01T10:00", "ann"))
    options = {"row_factory": dict_row}
    with ConnectionPool(module_database.reader, min_size=1, max_size=1, kwargs=options) as pool:
        engine = PostgresEngine(pool, timeout=timedelta(seconds=7))
        answer = engine.answer(Dau(shop.project, DayRange(DAY, DAY)))
        engine.close()
        with pool.connection() as connection:
            left = connection.execute("show statement_timeout").fetchone()
    assert answer.rows == (DayUsers(DAY, 1),)
    assert left == {"statement_timeout": "0"}


def test_transaction_refuses_to_write(module_database: Database) -> None:
    engine = PostgresEngine(module_database.owner)
    try:
        with (
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
            engine._transaction() as (connection, _),
        ):
            connection.execute("delete from events")
    finally:
        engine.close()


def test_nothing_connects_before_the_first_question(module_database: Database) -> None:
    engine = PostgresEngine(module_database.reader)
    try:
        with psycopg.connect(module_database.admin) as connection:
            sessions = connection.execute(
                "select count(*) from pg_stat_activity where application_name = 'tidemark postgres'"
            ).fetchone()
    finally:
        engine.close()
    assert sessions == (0,)
