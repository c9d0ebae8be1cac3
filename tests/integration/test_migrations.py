"""Each migration beside a server at work: what it changes, what it waits for, who waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import migrations
from analytics.engines.postgres import PostgresEngine
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from app.database.migrate import Patience, SchemaBusy, check, newest_revision, upgrade
from tests.conftest import Database
from tests.data import copy_events, data_set, of_project
from tests.mirror.partitioning import psql

EVENTS = data_set("git_rails")[:3_000]
SHOP = Project(ProjectId(1), "shop", "Europe/Kyiv")
FIRST, LAST = date(2004, 1, 1), date(2008, 12, 31)
QUICK = Patience(timedelta(milliseconds=50), timedelta(milliseconds=50), tries=3)
AT = datetime(2025, 8, 1, tzinfo=UTC)
_COLUMNS: LiteralString = """
select table_name, column_name, data_type, is_nullable = 'YES' or column_default is not null
from information_schema.columns where table_schema = 'public'"""
_RIGHTS: LiteralString = """
select grantee, table_name, column_name, privilege_type
from information_schema.column_privileges
where table_schema = 'public' and grantee like 'tidemark_%' and grantee <> 'tidemark_owner'
union
select grantee, table_name, '', privilege_type
from information_schema.table_privileges
where table_schema = 'public' and grantee like 'tidemark_%' and grantee <> 'tidemark_owner'"""


CHANGES_PROJECTS = "0003"


def _revisions() -> list[tuple[str, str]]:
    """Each revision with the one before it, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    found = ScriptDirectory.from_config(config).walk_revisions()
    steps = [(str(each.down_revision), each.revision) for each in found if each.down_revision]
    return steps[::-1]


@pytest.fixture(params=_revisions(), ids="-".join)
def step(request: pytest.FixtureRequest) -> tuple[str, str]:
    before, after = request.param
    return before, after


@pytest.fixture
def filled(empty_database: Database, step: tuple[str, str]) -> Database:
    """A database of the earlier revision with events, some of them removed, and their project."""
    upgrade(empty_database.owner, step[0])
    with psycopg.connect(empty_database.owner) as owner:
        owner.execute(
            "insert into projects (name, timezone) values (%s, %s)", [SHOP.name, SHOP.timezone]
        )
        owner.execute("insert into users (email, password_hash) values ('ann@example.com', '')")
        owner.execute("insert into members values (1, 1, 'owner')")
    copy_events(empty_database.writer, of_project(SHOP.id, EVENTS))
    with psycopg.connect(empty_database.writer) as writer:
        writer.execute("delete from events where user_id = %s", [EVENTS[0].user_id])
    return empty_database


def questions() -> list[Question[Any]]:
    days = DayRange(FIRST, LAST)
    return [TopEvents(SHOP, days, limit=20), Retention(SHOP, FIRST, LAST, window=6)]


def answers(database: Database) -> list[Any]:
    engine = PostgresEngine(database.reader)
    try:
        return [engine.answer(question).rows for question in questions()]
    finally:
        engine.close()


def rows(database: Database, table: str, columns: list[str]) -> list[tuple[Any, ...]]:
    named = ", ".join(columns)
    query = f"select {named} from {table}".encode()
    with psycopg.connect(database.owner) as owner:
        return sorted(owner.execute(query).fetchall(), key=str)


def columns(database: Database) -> dict[tuple[str, str], tuple[str, bool]]:
    """(table, column) -> type, and whether an INSERT may leave it out."""
    with psycopg.connect(database.owner) as owner:
        return {(t, c): (kind, free) for t, c, kind, free in owner.execute(_COLUMNS)}


def rights(database: Database) -> set[tuple[Any, ...]]:
    with psycopg.connect(database.owner) as owner:
        return set(owner.execute(_RIGHTS).fetchall())


@dataclass
class Load:
    """Who sends events and asks meanwhile, and the longest that one of them waited, in seconds."""

    sent: list[str] = field(default_factory=list)
    asked: int = 0
    longest: float = 0.0
    failures: list[Exception] = field(default_factory=list)


@contextmanager
def load(database: Database) -> Iterator[Load]:
    """One sender and one who asks, without a pause, for the length of the block and some more."""
    found, over = Load(), threading.Event()

    def at_work(act: Callable[[], None]) -> None:
        try:
            while not over.is_set():
                began = time.monotonic()
                act()
                found.longest = max(found.longest, time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 - the test reports it
            found.failures.append(error)

    engine = PostgresEngine(database.reader)
    with psycopg.connect(database.writer, autocommit=True) as writer:

        def send() -> None:
            event_id = str(uuid4())
            writer.execute(
                "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
                " values (2, %s, %s, 'ann', 'look')",
                [event_id, AT],
            )
            found.sent.append(event_id)

        def ask() -> None:
            engine.answer(questions()[0])
            found.asked += 1

        threads = [threading.Thread(target=at_work, args=(act,)) for act in (send, ask)]
        for thread in threads:
            thread.start()
        try:
            yield found
            seen = len(found.sent), found.asked
            while not found.failures and (len(found.sent) == seen[0] or found.asked == seen[1]):
                time.sleep(0.01)
        finally:
            over.set()
            for thread in threads:
                thread.join()
            engine.close()


def test_under_load_nothing_is_lost_and_answers_stay(
    filled: Database, step: tuple[str, str]
) -> None:
    before, kept = answers(filled), columns(filled)
    held = {table: [c for t, c in kept if t == table] for table, _ in kept}
    tables = {
        table: rows(filled, table, names)
        for table, names in held.items()
        if table != "alembic_version"
    }
    with load(filled) as meanwhile:
        upgrade(filled.owner, step[1])
    print(f"{'-'.join(step)}: nobody waited longer than {meanwhile.longest * 1000:.0f} ms")
    assert not meanwhile.failures
    assert answers(filled) == before
    for table, was in tables.items():
        found = rows(filled, table, held[table])
        if table == "events":
            ids = {str(row[held[table].index("event_id")]) for row in found}
            assert set(meanwhile.sent) <= ids
            found = [row for row in found if row[held[table].index("project_id")] == SHOP.id]
        assert found == was, table


def test_open_transactions_that_load_and_ask_hold_nothing_up(
    filled: Database, step: tuple[str, str]
) -> None:
    """They hold their locks on events for as long as the migration takes, and longer."""
    with psycopg.connect(filled.writer) as writer, psycopg.connect(filled.reader) as reader:
        writer.execute("delete from events where user_id = %s", [EVENTS[-1].user_id])
        reader.execute("select count(*) from events, events_removed, mirror_state")
        upgrade(filled.owner, step[1], QUICK)


def test_a_revision_only_adds(filled: Database, step: tuple[str, str]) -> None:
    """So the version before it, still running, finds what it knows, and may leave out the rest."""
    before, allowed = columns(filled), rights(filled)
    upgrade(filled.owner, step[1])
    after = columns(filled)
    for name, (kind, free) in before.items():
        assert after[name][0] == kind, name
        assert after[name][1] or not free, name
    old_tables = {table for table, _ in before}
    for name in after.keys() - before.keys():
        assert name[0] not in old_tables or after[name][1], f"{name}: an old INSERT leaves it out"
    assert allowed <= rights(filled)


def test_a_table_in_use_is_waited_for_in_short_tries(empty_database: Database) -> None:
    """Whoever comes after the migration gets through between two of them."""
    before = next(before for before, after in _revisions() if after == CHANGES_PROJECTS)
    upgrade(empty_database.owner, before)
    with psycopg.connect(empty_database.owner) as holder:
        holder.execute("select count(*) from projects")
        with pytest.raises(SchemaBusy, match="3 tries"):
            upgrade(empty_database.owner, patience=QUICK)
        assert holder.execute("select version_num from alembic_version").fetchone() == (before,)
        waiting = threading.Thread(
            target=upgrade,
            args=(empty_database.owner, "head", Patience(QUICK.lock, QUICK.rest, tries=1_000)),
        )
        waiting.start()
        for _ in range(20):
            with psycopg.connect(empty_database.writer) as passing:
                passing.execute("set lock_timeout = '10s'")
                passing.execute("select count(*) from projects")
        assert waiting.is_alive()
        holder.commit()
        waiting.join()
    with psycopg.connect(empty_database.owner) as owner:
        found = owner.execute("select version_num from alembic_version").fetchone()
    assert found == (newest_revision(),)


@pytest.mark.parametrize("way", ["1-by-hash.sql", "1-by-project.sql"])
def test_partitions_are_no_difference_of_the_schema(database: Database, way: str) -> None:
    psql(database.owner, way, "2-copy.sql", "4-swap.sql")
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("drop table events_whole")
    check(database.owner)
