"""`tidemark migrate` killed (-9) in its middle leaves the schema of before, and is run again."""

from __future__ import annotations

import os
import subprocess
import time

import psycopg
import pytest
from alembic.script import ScriptDirectory

from app.database.migrate import _config, upgrade
from tests.cli.test_up import TIDEMARK
from tests.conftest import Database
from tests.faults.traffic import LONGEST_SECONDS

HISTORY = [script.revision for script in ScriptDirectory.from_config(_config("")).walk_revisions()]
STEPS = list(zip([None, *HISTORY[:0:-1]], HISTORY[::-1], strict=True))
NOTED = "select version_num from alembic_version"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *(pytest.param(*step, id=step[1], marks=pytest.mark.slow) for step in STEPS[:-1]),
        pytest.param(*STEPS[-1], id=STEPS[-1][1]),
    ],
)
def test_migration_killed_half_way(
    empty_database: Database, before: str | None, after: str
) -> None:
    database = empty_database
    environment = {**os.environ, "DATABASE_URL": database.owner}
    if before is not None:
        upgrade(database.owner, before)
    with psycopg.connect(database.admin) as other:
        # All that a migration does comes before its revision is noted; the first makes its tables
        # in an order, and waits for one whose name somebody else has taken but not committed.
        if before is None:
            other.execute("create table events_removed (made_by text)")
        else:
            other.execute("lock table alembic_version in exclusive mode")
        running = subprocess.Popen(
            [TIDEMARK, "migrate"], env=environment, stderr=subprocess.PIPE, text=True
        )
        wait_until_blocked(database, running)
        running.kill()
        running.communicate(timeout=20)
        other.rollback()
    wait_until_alone(database)
    with psycopg.connect(database.owner) as connection:
        if before is None:
            tables = "select count(*) from pg_tables where schemaname = 'public'"
            assert connection.execute(tables).fetchone() == (0,)
        else:
            assert connection.execute(NOTED).fetchall() == [(before,)]
    for arguments in ((), ("--check",)):
        subprocess.run(
            [TIDEMARK, "migrate", *arguments], env=environment, check=True, capture_output=True
        )
    with psycopg.connect(database.owner) as connection:
        assert connection.execute(NOTED).fetchall() == [(HISTORY[0],)]


def wait_until_blocked(database: Database, running: subprocess.Popen[str]) -> None:
    waits = (
        "select 1 from pg_stat_activity where datname = current_database()"
        " and wait_event_type = 'Lock'"
    )
    _until(database, waits, running)


def wait_until_alone(database: Database) -> None:
    """What a killed client leaves open ends when Postgres notices."""
    alone = (
        "select 1 where not exists (select from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid())"
    )
    _until(database, alone, None)


def _until(database: Database, question: str, running: subprocess.Popen[str] | None) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    with psycopg.connect(database.admin, autocommit=True) as admin:
        while admin.execute(question.encode()).fetchone() is None:
            assert time.monotonic() < end, question
            assert running is None or running.poll() is None, running.communicate()
            time.sleep(0.02)
