"""`tidemark backup` and `restore`: the same rows and answers, no mirror of before is believed."""

from __future__ import annotations

import stat
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics.engines.choose import Engines
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Plan
from analytics.project import Project
from analytics.questions.day_range import DayRange
from analytics.questions.top_events import TopEvents
from app.local.servers import ServerUrls
from tests.cli.conftest import Tidemark
from tests.conftest import Database, new_database
from tests.data import copy_events, data_set
from tests.given_servers import postgres_tool

KEPT = "select project_id, event_id, occurred_at, user_id, event_type, properties from events"
EVENTS = data_set("git_rails")[:3_000]


@pytest.fixture
def other(servers: ServerUrls, template: str) -> Iterator[Database]:
    with new_database(servers, template) as database:
        yield database


@pytest.fixture
def filled(tidemark: Tidemark, database: Database) -> Database:
    assert tidemark("project", "create", "shop", "--timezone", "Europe/Kyiv").code == 0
    assert tidemark("key", "create", "--project", "shop", "--scope", "read").code == 0
    copy_events(database.writer, EVENTS)
    with psycopg.connect(database.writer) as connection:
        connection.execute("delete from events where user_id = %s", [EVENTS[0].user_id])
        connection.execute("""insert into events values
            (1, gen_random_uuid(), '2020-01-01', 'тест',
             E'tab\\t', '{"a": "\\\\\\\\ line\\\\n"}')""")
    return database


def use(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database.writer)
    monkeypatch.setenv("DATABASE_OWNER_URL", database.owner)
    monkeypatch.setenv("DATABASE_READER_URL", database.reader)


def rows(database: Database, query: str = KEPT) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.owner) as connection:
        return sorted(connection.execute(query.encode()).fetchall(), key=str)


def top(database: Database, keeper: Keeper) -> Any:
    question = TopEvents(Project(1, "shop"), DayRange(date(2000, 1, 1), date(2026, 1, 1)))
    with Engines.connect(database.reader, keeper=keeper) as engines:
        answers = [engines.answer(question, engine).rows for engine in ("postgres", None)]
    assert answers[0] == answers[1]
    return answers[0]


def test_restored_database_holds_and_answers_the_same(
    filled: Database,
    other: Database,
    tidemark: Tidemark,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "shop.tidemark"
    made = tidemark("backup", str(file))
    assert made.code == 0, made.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    use(other, monkeypatch)
    restored = tidemark("restore", str(file))
    assert restored.code == 0, restored.err
    assert rows(other) == rows(filled) != []
    for table in ("projects", "api_keys", "users"):
        assert rows(other, f"select * from {table}") == rows(filled, f"select * from {table}")
    numbers = "select bool_and(ingest_xid < pg_snapshot_xmax(pg_current_snapshot())) from events"
    assert rows(other, numbers) == [(True,)]
    assert rows(other, "select epoch from mirror_state") != rows(
        filled, "select epoch from mirror_state"
    )
    assert tidemark("project", "create", "another").code == 0, "numbers go on after the last"
    again = tidemark("restore", str(file))
    assert again.code == 1
    assert "has rows already" in again.err


def test_mirror_that_had_run_ahead_is_not_believed(
    filled: Database, tidemark: Tidemark, tmp_path: Path
) -> None:
    file = tmp_path / "shop.tidemark"
    assert tidemark("backup", str(file)).code == 0
    before = rows(filled)
    copy_events(filled.writer, data_set("git_rails")[3_000:3_500])
    keeper = Keeper(Plan(tmp_path / "mirrors", filled.reader))
    try:
        keeper.open()
        keeper.sync()
        ahead = top(filled, keeper)
        with psycopg.connect(filled.owner, autocommit=True) as connection:
            connection.execute("delete from events")
            connection.execute("truncate users, projects, members, invitations, api_keys cascade")
        restored = tidemark("restore", str(file))
        assert restored.code == 0, restored.err
        assert rows(filled) == before
        assert top(filled, keeper) != ahead
    finally:
        keeper.close()


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_damaged_file_is_refused_and_nothing_changed(
    filled: Database,
    other: Database,
    tidemark: Tidemark,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    damage: str,
) -> None:
    file = tmp_path / "shop.tidemark"
    assert tidemark("backup", str(file)).code == 0
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        with zipfile.ZipFile(file) as archive:
            content[archive.getinfo("events").header_offset + 2_000] ^= 0xFF
    else:
        content = bytearray(b"event_id,occurred_at\n")
    file.write_bytes(content)
    use(other, monkeypatch)
    refused = tidemark("restore", str(file))
    assert refused.code == 1
    assert str(file) in refused.err
    assert rows(other) == []


def test_rows_that_the_server_changes_are_noticed_and_taken_back(
    filled: Database,
    other: Database,
    tidemark: Tidemark,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "shop.tidemark"
    assert tidemark("backup", str(file)).code == 0
    with psycopg.connect(other.owner, autocommit=True) as connection:
        connection.execute("""create function shout() returns trigger language plpgsql as $$
            begin new.user_id := upper(new.user_id); return new; end $$""")
        connection.execute("""create trigger shout before insert on events
            for each row execute function shout()""")
    use(other, monkeypatch)
    differing = tidemark("restore", str(file))
    assert differing.code == 1
    assert "events has" in differing.err
    assert rows(other) == rows(other, "select name from projects") == []


def test_backup_overwrites_nothing(filled: Database, tidemark: Tidemark, tmp_path: Path) -> None:
    file = tmp_path / "shop.tidemark"
    file.write_text("precious")
    assert tidemark("backup", str(file)).code == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]
    assert file.read_text() == "precious"


@pytest.mark.parametrize(
    "how", [("--clean", "--if-exists"), ("--data-only", "--disable-triggers")], ids=" ".join
)
def test_restore_by_hand_is_answered_rightly(
    filled: Database, tmp_path: Path, how: tuple[str, ...]
) -> None:
    dump = tmp_path / "dump"
    run = lambda tool, *arguments: subprocess.run(  # noqa: E731
        [postgres_tool(tool), *arguments], check=True, capture_output=True, timeout=60
    )
    run("pg_dump", "--format=custom", f"--file={dump}", filled.admin)
    before = rows(filled)
    keeper = Keeper(Plan(tmp_path / "mirrors", filled.reader))
    try:
        keeper.open()
        copy_events(filled.writer, data_set("git_rails")[3_000:3_500])
        keeper.sync()
        ahead = top(filled, keeper)
        if "--data-only" in how:
            with psycopg.connect(filled.admin, autocommit=True) as connection:
                connection.execute("delete from events")
                connection.execute(
                    "truncate users, projects, members, invitations, api_keys, mirror_state,"
                    " mirror_leases, events_removed, alembic_version cascade"
                )
                connection.execute("alter table events drop constraint ck_events_ingest_xid")
        run("pg_restore", *how, f"--dbname={filled.admin}", str(dump))
        assert rows(filled) == before
        assert top(filled, keeper) != ahead
    finally:
        keeper.close()
