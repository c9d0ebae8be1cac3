"""`tidemark doctor`: each thing that can be wrong is found, and a next step is named."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from app.doctor.finding import Level
from app.local.servers import ServerUrls
from tests.cli.conftest import Tidemark
from tests.conftest import Database


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch, servers: ServerUrls) -> None:
    monkeypatch.setenv("REDIS_URL", servers.redis)
    monkeypatch.setenv("METRICS_TOKEN", "sixteen-characters")


def findings(tidemark: Tidemark, code: int) -> dict[str, dict[str, Any]]:
    finished = tidemark("doctor", "--json")
    assert finished.code == code, finished.out + finished.err
    return {each["part"]: each for each in json.loads(finished.out)}


def level(found: dict[str, dict[str, Any]], level: Level) -> set[str]:
    return {part for part, each in found.items() if each["level"] == level}


def test_healthy_installation_has_no_problem(tidemark: Tidemark) -> None:
    found = findings(tidemark, 0)
    assert level(found, Level.PROBLEM) == set()
    assert {"version", "schema", "triggers", "writer", "reader", "clock", "redis"} <= level(
        found, Level.OK
    )
    for each in found.values():
        assert (each["next_step"] is None) == (each["level"] == Level.OK)


def test_table_shows_the_next_step(tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    finished = tidemark("doctor")
    assert finished.code == 1
    assert "-> start it, or correct REDIS_URL" in finished.out


def test_triggers_that_are_off_are_found(tidemark: Tidemark, database: Database) -> None:
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("alter table events enable trigger events_log_deleted")
    assert level(findings(tidemark, 1), Level.PROBLEM) == {"triggers"}


def test_another_schema_is_found(tidemark: Tidemark, database: Database) -> None:
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = 'older'")
    found = findings(tidemark, 1)
    assert level(found, Level.PROBLEM) == {"schema"}
    assert found["schema"]["next_step"] == "run `tidemark migrate`"


def test_database_without_schema_is_one_problem(
    tidemark: Tidemark, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database.writer)
    monkeypatch.setenv("DATABASE_READER_URL", empty_database.reader)
    assert level(findings(tidemark, 1), Level.PROBLEM) == {"schema"}


def test_too_many_and_too_few_rights_are_found(
    tidemark: Tidemark, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.owner)
    monkeypatch.setenv("DATABASE_READER_URL", database.writer)
    assert {"writer", "reader"} <= level(findings(tidemark, 0), Level.NOTE)
    monkeypatch.setenv("DATABASE_URL", database.reader)
    assert level(findings(tidemark, 1), Level.PROBLEM) == {"writer"}


def test_rows_restored_with_numbers_above_the_counter_are_found(
    tidemark: Tidemark, database: Database
) -> None:
    with psycopg.connect(database.owner, autocommit=True) as connection:
        connection.execute("alter table events drop constraint ck_events_ingest_xid")
        connection.execute(
            "insert into events"
            " (project_id, event_id, occurred_at, user_id, event_type, ingest_xid)"
            " values (1, gen_random_uuid(), now(), 'ann', 'look', '9000000000000')"
        )
    assert level(findings(tidemark, 1), Level.PROBLEM) == {"restored rows"}


def test_long_transaction_is_found(
    tidemark: Tidemark, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.doctor.postgres.LONG_SECONDS", -1)
    with psycopg.connect(database.writer) as connection:
        connection.execute("select pg_current_xact_id()")
        found = findings(tidemark, 1)
    assert "long transaction" in level(found, Level.PROBLEM)
    assert "pg_stat_activity" in found["long transaction"]["next_step"] or (
        "pg_prepared_xacts" in found["long transaction"]["next_step"]
    )


def test_unreachable_postgres_is_found_and_the_rest_looked_at(
    tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    found = findings(tidemark, 1)
    assert level(found, Level.PROBLEM) == {"postgres"}
    assert "redis" in found


def test_secret_key_that_is_short_is_found(
    tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "short")
    assert "secret key" in level(findings(tidemark, 1), Level.PROBLEM)
