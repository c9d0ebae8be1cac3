"""The schema as the migrations build it: what it lets in, what it logs, who may do what."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from app.database.migrate import SchemaDiffers, check, downgrade, require_current, upgrade
from tests.conftest import Database

INSERT = (
    "insert into events (project_id, event_id, occurred_at, user_id, event_type) "
    "values (%s, %s, %s, %s, %s)"
)
ID = uuid.UUID(int=7)
EVENT = (1, ID, "2025-08-01T10:00:00Z", "ann", "login")


def execute(url: str, statement: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def tables(url: str) -> set[object]:
    found = execute(url, "select tablename from pg_tables where schemaname = 'public'")
    return {name for (name,) in found}


def test_upgrade_and_tables_agree(database: Database) -> None:
    check(database.owner)


def test_downgrade_leaves_nothing_and_upgrade_brings_it_back(database: Database) -> None:
    before = tables(database.admin)
    downgrade(database.owner, "base")
    assert tables(database.admin) == {"alembic_version"}
    functions = "select count(*) from pg_proc where pronamespace = 'public'::regnamespace"
    assert execute(database.admin, functions) == [(0,)]

    upgrade(database.owner)
    assert tables(database.admin) == before
    check(database.owner)


def test_three_upgrades_at_once_on_an_empty_database_all_succeed(empty_database: Database) -> None:
    program = f"from app.database.migrate import upgrade; upgrade({empty_database.owner!r})"
    with ThreadPoolExecutor(3) as pool:
        runs = list(
            pool.map(
                lambda _: subprocess.run(
                    [sys.executable, "-c", program], check=False, capture_output=True, text=True
                ),
                range(3),
            )
        )
    assert [run.returncode for run in runs] == [0, 0, 0], runs
    check(empty_database.owner)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("occurred_at", "infinity"),
        ("occurred_at", "-infinity"),
        ("occurred_at", "0001-12-31T00:00:00Z BC"),
        ("occurred_at", "10000-01-01T00:00:00Z"),
        ("user_id", ""),
        ("user_id", "x" * 201),
        ("event_type", ""),
        ("event_type", "x" * 201),
        ("properties", "[]"),
        ("properties", '"text"'),
        ("ingest_xid", "3"),
    ],
)
def test_row_outside_the_limits_is_refused_also_from_the_owner(
    database: Database, column: str, value: str
) -> None:
    row = dict(
        zip(("project_id", "event_id", "occurred_at", "user_id", "event_type"), EVENT, strict=True)
    )
    row[column] = value
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    with pytest.raises(errors.CheckViolation):
        execute(database.owner, f"insert into events ({names}) values ({marks})", *row.values())


@pytest.mark.parametrize("occurred_at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_first_and_last_instants_are_taken(database: Database, occurred_at: str) -> None:
    execute(database.writer, INSERT, 1, ID, occurred_at, "x" * 200, "é" * 200)
    assert execute(database.reader, "select count(*) from events") == [(1,)]


REMOVED = (
    "select project_id, event_id, occurred_at = '2025-08-01T10:00:00Z', user_id, event_type "
    "from events_removed"
)


def test_delete_is_logged(database: Database) -> None:
    execute(database.writer, INSERT, *EVENT)
    execute(database.writer, "delete from events")
    assert execute(database.reader, REMOVED) == [(1, ID, True, "ann", "login")]
    versions = "select removed_xid > ingest_xid from events_removed"
    assert execute(database.reader, versions) == [(True,)]


def test_update_logs_the_old_version_and_stamps_the_new_one(database: Database) -> None:
    execute(database.writer, INSERT, *EVENT)
    execute(database.owner, "update events set user_id = 'bob', project_id = 2")
    assert execute(database.reader, REMOVED) == [(1, ID, True, "ann", "login")]
    versions = """
        select e.project_id, e.user_id, e.ingest_xid = r.removed_xid, e.ingest_xid > r.ingest_xid
        from events e cross join events_removed r
    """
    assert execute(database.reader, versions) == [(2, "bob", True, True)]


def test_upsert_is_logged(database: Database) -> None:
    execute(database.owner, INSERT, *EVENT)
    execute(
        database.owner,
        INSERT + " on conflict (project_id, event_id) do update set user_id = 'bob'",
        *EVENT,
    )
    assert execute(database.reader, REMOVED) == [(1, ID, True, "ann", "login")]


def test_truncate_starts_a_new_epoch(database: Database) -> None:
    before = execute(database.reader, "select epoch from mirror_state")
    execute(database.owner, "truncate events")
    after = execute(database.reader, "select epoch from mirror_state")
    assert len(after) == 1
    assert after != before


def test_triggers_fire_for_replicas_too(database: Database) -> None:
    execute(database.writer, INSERT, *EVENT)
    execute(database.admin, "set session_replication_role = replica; delete from events")
    assert execute(database.reader, "select count(*) from events_removed") == [(1,)]


def test_statement_in_a_schema_of_the_callers_logs_to_the_real_table(database: Database) -> None:
    execute(database.writer, INSERT, *EVENT)
    execute(
        database.writer,
        "create temp table events_removed (like public.events_removed); "
        "set search_path = pg_temp, public; "
        "delete from public.events",
    )
    assert execute(database.reader, "select count(*) from events_removed") == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into events (project_id, event_id, occurred_at, user_id, event_type, ingest_xid) "
        f"values (1, '{ID}', now(), 'a', 'b', pg_current_xact_id())",
        "update events set user_id = 'x'",
        "truncate events",
        "insert into events_removed select * from events_removed",
        "drop table events",
        "create table public.own (x int)",
    ],
)
def test_writer_may_not(database: Database, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        execute(database.writer, statement)


@pytest.mark.parametrize(
    "statement",
    [
        INSERT.replace("%s, %s, %s, %s, %s", f"1, '{ID}', now(), 'a', 'b'"),
        "delete from events",
        "select * from api_keys",
        "select * from users",
        "update mirror_state set epoch = gen_random_uuid()",
        "create table public.own (x int)",
    ],
)
def test_reader_may_not(database: Database, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        execute(database.reader, statement)


def test_reader_keeps_its_own_lease(database: Database) -> None:
    execute(
        database.reader,
        "insert into mirror_leases (id, horizon, token, expires_at) "
        "values (gen_random_uuid(), '5', gen_random_uuid(), now())",
    )
    execute(database.reader, "update mirror_leases set previous_token = token")
    execute(database.reader, "delete from mirror_leases")
    assert execute(database.reader, "select count(*) from mirror_leases") == [(0,)]


def test_log_of_a_removal_is_gone_with_its_transaction(database: Database) -> None:
    execute(database.writer, INSERT, *EVENT)
    with psycopg.connect(database.writer) as connection:
        connection.execute("delete from events")
        connection.rollback()
    assert execute(database.reader, "select count(*) from events_removed") == [(0,)]


async def test_database_without_the_schema_is_named(empty_database: Database) -> None:
    wanted = r"has schema none, .* needs [0-9]{4}; run `tidemark migrate`"
    with pytest.raises(SchemaDiffers, match=wanted):
        await require_current(empty_database.writer)


async def test_database_with_the_schema_is_current(database: Database) -> None:
    await require_current(database.writer)
    await require_current(database.reader)


@pytest.mark.parametrize(
    "arguments", [("check",), ("upgrade", "head"), ("upgrade", "head", "--sql")]
)
def test_alembic_itself_works_from_the_projects_folder(
    database: Database, arguments: tuple[str, ...]
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DATABASE_URL": database.owner},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert ("CREATE TABLE events" in run.stdout) == ("--sql" in arguments)
