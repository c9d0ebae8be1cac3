"""The engine `postgres` alone: whose pool it uses, and that it can't write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from analytics.engines.postgres import PostgresEngine
from analytics.events import ProjectId
from analytics.project import Project
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


def test_sessions_are_opened_when_needed_and_kept(database: Database) -> None:
    engine = PostgresEngine(database.reader)
    question = Dau(Project(ProjectId(1), "shop"), DayRange(DAY, DAY))
    try:
        with psycopg.connect(database.admin, autocommit=True) as connection:
            before = _sessions(connection)
            for _ in range(3):
                engine.answer(question)
            after = _sessions(connection)
    finally:
        engine.close()
    assert (before, after) == (0, 1)


def _sessions(connection: psycopg.Connection) -> int:
    return len(
        connection.execute(
            "select from pg_stat_activity where application_name = 'tidemark postgres'"
            " and datname = current_database()"
        ).fetchall()
    )
