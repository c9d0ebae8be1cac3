"""The engine `attached` alone: how it reads Postgres, what it keeps to itself, what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest

from analytics.duck import DuckLimits
from analytics.engines.attached import AttachedEngine
from analytics.engines.choose import Engines
from analytics.errors import Exhausted
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from tests.conftest import Database
from tests.contract.conftest import Shop

DAYS = DayRange(date(2025, 3, 1), date(2025, 4, 30))


@pytest.fixture
def engine(module_database: Database) -> Iterator[AttachedEngine]:
    engine = AttachedEngine(module_database.reader)
    yield engine
    engine.close()


def questions(shop: Shop) -> list[Question]:
    project = shop.project
    return [
        Dau(project, DAYS),
        TopEvents(project, DAYS),
        Retention(project, DAYS.first, DAYS.last),
    ]


@pytest.mark.parametrize("number", range(3))
def test_each_plan_reads_postgres_once_with_its_conditions(
    engine: AttachedEngine, make_shop: Callable[..., Shop], number: int
) -> None:
    shop = make_shop("America/New_York")
    plan = engine.explain(questions(shop)[number])
    assert plan.count("POSTGRES_SCAN") == 1
    scan = plan[plan.index("POSTGRES_SCAN") :]
    assert f"project_id={shop.project.id}" in scan
    assert "occurred_at<" in scan


def test_question_takes_one_session(database: Database) -> None:
    shop = Shop(database.writer, Project(ProjectId(1), "shop"))
    shop.happens(("2025-03-02T10:00", "ann"))
    engine = AttachedEngine(database.reader)
    try:
        for question in questions(shop):
            engine.answer(question)
        with psycopg.connect(database.admin) as connection:
            sessions = connection.execute(
                "select application_name from pg_stat_activity where usename = 'tidemark_reader'"
                " and datname = current_database()"
            ).fetchall()
    finally:
        engine.close()
    assert sessions == [("tidemark attached",)]


def test_postgres_itself_limits_a_question(module_database: Database) -> None:
    show = "from postgres_query('pg', 'select current_setting(''statement_timeout'') as it')"
    engine = AttachedEngine(module_database.reader, timeout=timedelta(seconds=7))
    with closing(engine), engine._cursor() as cursor:
        engine._run(cursor, engine._begin, {})
        assert cursor.execute(show).fetchall() == [("7s",)]


def test_password_is_not_shown(engine: AttachedEngine, module_database: Database) -> None:
    engine.ping()
    password = psycopg.conninfo.conninfo_to_dict(module_database.reader)["password"]
    with engine._cursor() as cursor:
        shown = cursor.execute("from duckdb_databases()").fetchall()
        secrets = cursor.execute("from duckdb_secrets()").fetchall()
    assert str(password) not in str(shown) + str(secrets)


@pytest.mark.parametrize(
    "forbidden",
    [
        "insert into pg.public.events (project_id) values (1)",
        "create table pg.public.mine (a integer)",
        "attach 'other.duckdb' as other",
        "copy (select 1) to 'out.csv'",
        "select * from read_csv('/etc/passwd')",
        "set memory_limit = '8GB'",
        "set enable_external_access = true",
        "set pg_use_ctid_scan = true",
        "install httpfs",
    ],
)
def test_database_is_locked(engine: AttachedEngine, forbidden: str) -> None:
    with pytest.raises(duckdb.Error), engine._cursor() as cursor:
        cursor.execute(forbidden)


def test_settings_hold_in_every_cursor(engine: AttachedEngine) -> None:
    names = ["pg_use_ctid_scan", "disabled_optimizers", "lock_configuration", "threads"]
    with engine._cursor() as cursor:
        values = [
            cursor.execute("select current_setting($1)", [name]).fetchall()[0][0] for name in names
        ]
    assert values == [False, "common_subplan", True, 2]


def test_awkward_password_is_carried_over(module_database: Database) -> None:
    password = r"it's \a " '"quoted" $1 {us}; --'
    with psycopg.connect(module_database.admin, autocommit=True) as connection:
        connection.execute("drop role if exists awkward")
        connection.execute(
            psycopg.sql.SQL("create role awkward login in role tidemark_reader password {}").format(
                password
            )
        )
    parameters = psycopg.conninfo.conninfo_to_dict(module_database.reader)
    url = psycopg.conninfo.make_conninfo(
        "", **{**parameters, "user": "awkward", "password": password}
    )
    engine = AttachedEngine(url)
    try:
        engine.ping()
    finally:
        engine.close()


def test_closing_leaves_no_files(module_database: Database) -> None:
    engine = AttachedEngine(module_database.reader, limits=DuckLimits(memory_megabytes=256))
    spill = Path(engine._spill.name)
    with engine._cursor() as cursor:
        [(used,)] = cursor.execute("select current_setting('temp_directory')").fetchall()
    assert Path(used).parent == spill
    engine.close()
    assert not spill.exists()


def test_question_that_needs_more_than_there_is_goes_to_postgres(database: Database) -> None:
    with psycopg.connect(database.owner) as connection:
        connection.execute(
            "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
            " select 1, gen_random_uuid(), '2025-03-02', repeat('long name ', 15) || n, 'look'"
            " from generate_series(1, 60000) as n"
        )
    question = Dau(Project(ProjectId(1), "shop"), DAYS)
    limits = DuckLimits(threads=1, memory_megabytes=8, spill_megabytes=0)
    with Engines.connect(database.reader, limits=limits) as engines:
        answer = engines.answer(question)
        assert (answer.meta.engine, max(row.dau for row in answer.rows)) == ("postgres", 60_000)
        assert "lacks memory" in answer.meta.reason
        with pytest.raises(Exhausted):
            engines.answer(question, AttachedEngine.name)
        small = Dau(question.project, DayRange(date(2025, 4, 1), date(2025, 4, 2)))
        assert engines.answer(small, AttachedEngine.name).meta.engine == AttachedEngine.name
