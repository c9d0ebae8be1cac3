"""What every engine promises besides its rows: live data, one snapshot, limits, recovery."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Timer

import psycopg
import pytest

from analytics.engines.attached import AttachedEngine
from analytics.engines.mirrored import RAW, ROLLUP, MirrorEngine
from analytics.engines.postgres import PostgresEngine
from analytics.engines.protocol import Engine
from analytics.errors import DeadlineExceeded, Unreachable
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.dau import Dau, DayUsers
from analytics.questions.day_range import DayRange
from analytics.questions.question import Value
from analytics.questions.retention import Retention
from analytics.questions.top_events import EventCount, TopEvents
from tests.conftest import Database
from tests.contract.conftest import Shop
from tests.mirror.hand_kept import HandKept

DAY = date(2025, 8, 1)
DAYS = DayRange(DAY, DAY)
KINDS = [PostgresEngine, AttachedEngine]
Make = Callable[..., Engine]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def make_live(request: pytest.FixtureRequest, module_database: Database) -> Iterator[Make]:
    """Makes an engine over live rows of the kind whose turn it is; closes it after the test."""
    made: list[Engine] = []

    def make(url: str = module_database.reader, **options: object) -> Engine:
        made.append(request.param(url, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture(params=[*KINDS, MirrorEngine], ids=lambda kind: kind.name)
def make(
    request: pytest.FixtureRequest, module_database: Database, tmp_path: Path
) -> Iterator[Make]:
    """The same of every kind; a mirror is built when it is made, and synced by nobody."""
    made: list[Engine] = []
    keepers: list[HandKept] = []

    def make(url: str = module_database.reader, **options: object) -> Engine:
        if request.param is not MirrorEngine:
            made.append(request.param(url, **options))
            return made[-1]
        database = replace(module_database, reader=url)
        keepers.append(HandKept(database, tmp_path / str(len(keepers))))
        keepers[-1].start()
        keepers[-1].open_or_build()
        made.append(MirrorEngine(keepers[-1], **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
    for keeper in keepers:
        keeper.close()


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    shop = make_shop()
    shop.happens(("2025-08-01T10:00", "ann"))
    return shop


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Nobody can read events meanwhile: every question waits."""
    with psycopg.connect(database.owner) as connection:
        connection.execute("lock table events in access exclusive mode")
        yield


def end_sessions(database: Database) -> int:
    """Cut all connections of the role that engines use, as a restart of the server would."""
    with psycopg.connect(database.admin, autocommit=True) as connection:
        ended = connection.execute(
            "select count(pg_terminate_backend(pid, 2000)) from pg_stat_activity"
            " where usename = 'tidemark_reader' and datname = current_database()"
        ).fetchone()
    assert ended is not None
    return int(ended[0])


def test_answer_says_who_gave_it_and_as_of_when(
    make: Make, shop: Shop, module_database: Database
) -> None:
    with psycopg.connect(module_database.reader, options="-c timezone=UTC") as connection:
        clock = connection.execute("select clock_timestamp()").fetchone()
    engine = make()
    answer = engine.answer(Dau(shop.project, DAYS))
    assert clock is not None
    assert clock[0] <= answer.meta.as_of <= clock[0] + timedelta(seconds=30)
    assert answer.meta.as_of.tzinfo is UTC
    assert answer.meta.engine == engine.name
    assert answer.meta.reason in {"asked for", ROLLUP, RAW}
    assert answer.meta.lag_seconds == 0.0
    assert answer.meta.elapsed_ms > 0


def test_answer_survives_pickling(make: Make, shop: Shop) -> None:
    engine = make()
    questions = (Dau(shop.project, DAYS), TopEvents(shop.project, DAYS))
    for question in (*questions, Retention(shop.project, DAY, DAY)):
        answer = engine.answer(question)
        assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301 - our own


def test_rows_are_live(make: Make, shop: Shop, module_database: Database) -> None:
    engine, question = make(), TopEvents(shop.project, DAYS)
    assert engine.answer(question).rows == (EventCount("look", 1),)
    shop.happens(("2025-08-01T10:00", "bob"))
    assert engine.answer(question).rows == (EventCount("look", 2),)
    with psycopg.connect(module_database.owner) as connection:
        delete = "delete from events where project_id = %s and user_id = 'bob'"
        connection.execute(delete, [shop.project.id])
    assert engine.answer(question).rows == (EventCount("look", 1),)


def test_answers_stay_right_when_the_table_changes(make_live: Make, database: Database) -> None:
    shop = _shop_in(database)
    engine, question = make_live(database.reader), Dau(shop.project, DAYS)
    for change in (
        "truncate events",
        "alter table events add column extra text not null default 'x'",
        "alter table events drop column extra",
        "create table other (like events including all); drop table events;"
        " alter table other rename to events; grant select on events to tidemark_reader;"
        " grant insert on events to tidemark_writer",
    ):
        shop.happens(("2025-08-01T10:00", "ann"))
        assert engine.answer(question).rows == (DayUsers(DAY, 1),)
        with psycopg.connect(database.owner) as connection:
            connection.execute(change)  # type: ignore[arg-type]  # fixed texts, several statements
            left = connection.execute("select least(count(*), 1) from events").fetchone()
        assert left is not None
        assert engine.answer(question).rows == (DayUsers(DAY, left[0]),)


def _shop_in(database: Database) -> Shop:
    return Shop(database.owner, Project(ProjectId(1), "shop"))


def test_tracer_hears_of_every_statement_and_its_owner(make_live: Make, shop: Shop) -> None:
    heard: list[tuple[str, Mapping[str, Value], float, int]] = []
    engine = make_live(tracer=lambda *statement: heard.append(statement))
    engine.answer(TopEvents(shop.project, DAYS, limit=7))
    assert [sql.splitlines()[0] for sql, *_ in heard] == [
        f"/* tidemark {engine.name} begin */",
        f"/* tidemark {engine.name} top_events */",
    ]
    _, parameters, milliseconds, rows = heard[1]
    assert (parameters["limit"], parameters["project_id"]) == (7, shop.project.id)
    assert (milliseconds > 0, rows) == (True, 1)


def test_plan_reads_the_events(make: Make, shop: Shop) -> None:
    assert "events" in make().explain(Dau(shop.project, DAYS))


def test_question_past_its_time_limit_is_stopped(
    make: Make, shop: Shop, module_database: Database
) -> None:
    engine = make(timeout=timedelta(seconds=0.3))
    question = Dau(shop.project, DAYS)
    assert engine.answer(question).rows == (DayUsers(DAY, 1),)
    started = time.perf_counter()
    with (
        locked(module_database),
        pytest.raises(DeadlineExceeded, match=r"0\.3 s; ask for a shorter"),
    ):
        engine.answer(question)
    assert time.perf_counter() - started < 3
    assert engine.answer(question).rows == (DayUsers(DAY, 1),)


def test_server_that_does_not_answer_is_unreachable(make_live: Make, shop: Shop) -> None:
    engine = make_live("postgresql://someone:secret-word@127.0.0.1:1/nowhere?connect_timeout=1")
    for ask in (engine.ping, lambda: engine.answer(Dau(shop.project, DAYS))):
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1") as caught:
            ask()
        assert "secret-word" not in f"{caught.value} {caught.value.__cause__}"


def test_lost_connections_are_replaced(make: Make, shop: Shop, module_database: Database) -> None:
    engine, question = make(), Dau(shop.project, DAYS)
    engine.answer(question)
    assert end_sessions(module_database) > 0
    assert engine.answer(question).rows == (DayUsers(DAY, 1),)
    engine.ping()


def test_question_cut_off_is_unreachable_and_the_next_one_answered(
    make: Make, shop: Shop, module_database: Database
) -> None:
    engine, question = make(), Dau(shop.project, DAYS)
    engine.ping()
    cut = Timer(0.5, end_sessions, [module_database])
    cut.start()
    with locked(module_database), pytest.raises(Unreachable):
        engine.answer(question)
    cut.join()
    assert engine.answer(question).rows == (DayUsers(DAY, 1),)


def test_questions_of_many_threads_are_told_apart(
    make: Make, make_shop: Callable[..., Shop]
) -> None:
    shops = [make_shop() for _ in range(6)]
    for users, shop in enumerate(shops):
        shop.happens(*(("2025-08-01T10:00", f"user {user}") for user in range(users)))
    engine = make()

    def ask(users: int) -> bool:
        return engine.answer(Dau(shops[users].project, DAYS)).rows == (DayUsers(DAY, users),)

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(ask, [*range(6)] * 5))


def test_no_session_is_left_in_a_transaction(
    make: Make, shop: Shop, module_database: Database
) -> None:
    engine = make(timeout=timedelta(seconds=0.3))
    with locked(module_database), pytest.raises(DeadlineExceeded):
        engine.answer(Dau(shop.project, DAYS))
    with psycopg.connect(module_database.admin) as connection:
        states = connection.execute(
            "select state from pg_stat_activity where usename = 'tidemark_reader'"
            " and datname = current_database() and state <> 'idle'"
        ).fetchall()
    assert states == []


def test_closing_twice_is_fine(make: Make, shop: Shop) -> None:
    engine = make()
    engine.answer(Dau(shop.project, DAYS))
    engine.close()
    engine.close()


def test_servers_time_zone_does_not_matter(make: Make, shop: Shop, database: Database) -> None:
    there = _shop_in(database)
    there.happens(("2025-08-01T00:00", "ann"), ("2025-08-01T23:59:59", "bob"))
    with psycopg.connect(database.owner) as connection:
        connection.execute("alter database " + _name(connection) + " set timezone = 'Asia/Tokyo'")  # type: ignore[arg-type]
    answer = make(database.reader).answer(Dau(there.project, DAYS))
    assert answer.rows == (DayUsers(DAY, 2),)
    assert abs(answer.meta.as_of - datetime.now(UTC)) < timedelta(minutes=1)


def _name(connection: psycopg.Connection) -> str:
    return connection.info.dbname
