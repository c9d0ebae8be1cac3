"""The library over Postgres: found, asked, kept up to date, and what is said where it can't be."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from analytics import Analytics
from analytics.errors import (
    Closed,
    InvalidInput,
    InvalidQuestion,
    UnknownEngine,
    UnknownProject,
    Unreachable,
)
from analytics.mirror.errors import MirrorUnavailable
from analytics.project import Project
from analytics.questions.top_events import EventCount
from tests.conftest import Database, new_database
from tests.library.conftest import WEB, happen, make_project

Connect = Callable[..., Analytics]
FIRST, LAST = "2024-01-04", "2024-06-29"


def test_mirror_and_live_rows_give_the_same_answers(connect: Connect) -> None:
    mirrored, live = connect(), connect(mirror=False)
    mirrored.sync()
    for ask in (
        lambda each: each.dau(FIRST, LAST),
        lambda each: each.top_events(FIRST, LAST),
        lambda each: each.retention(FIRST, today=LAST),
    ):
        ours, theirs = ask(mirrored), ask(live)
        assert ours.rows == theirs.rows
        assert len(ours) > 0
        assert (ours.meta.engine, theirs.meta.engine in {"attached", "postgres"}) == (
            "mirror",
            True,
        )


def test_answers_come_at_once_and_from_the_mirror_later(connect: Connect) -> None:
    connected = connect()
    first = connected.dau(FIRST, LAST)
    connected.sync()
    later = connected.dau(FIRST, LAST)
    assert first.rows == later.rows
    assert later.meta.engine == "mirror"


def test_answers_count_what_was_committed_just_now(
    connect: Connect, module_database: Database, shop: Project
) -> None:
    connected = connect()
    connected.sync()
    before = connected.top_events("2030-01-01", "2030-01-01")
    happen(module_database, shop, ("2030-01-01T10:00:00+02:00", "ann", "look"))
    after = connected.top_events("2030-01-01", "2030-01-01")
    counted = "select event_type, events from event_counts where day = ?"
    assert (before.rows, after.rows) == ((), (EventCount("look", 1),))
    assert connected.sql(counted, ["2030-01-01"]).rows == (("look", 1),)


def test_two_notebooks_on_one_folder_keep_a_mirror_each(connect: Connect, mirrors: Path) -> None:
    one, two = connect(mirror=mirrors), connect(mirror=mirrors)
    for each in (one, two):
        each.sync()
        assert each.dau(FIRST, LAST).meta.engine == "mirror"
    assert sorted(path.name for path in mirrors.iterdir()) == ["0", "1"]
    assert one.dau(FIRST, LAST).rows == two.dau(FIRST, LAST).rows


def test_mirror_in_a_folder_of_its_own_is_there_the_next_time(
    connect: Connect, mirrors: Path
) -> None:
    with connect(mirror=mirrors) as first:
        first.sync()
        [file] = mirrors.glob("0/events-*.duckdb")
        built = file.stat().st_ino
    again = connect(mirror=mirrors)
    again.sync()
    [file] = mirrors.glob("0/events-*.duckdb")
    assert file.stat().st_ino == built


def test_mirror_that_can_not_be_kept_is_told(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MirrorUnavailable, match=r"can't be kept in .*file: .*mirror=False"):
        connect(mirror=tmp_path / "file")


def test_only_project_need_not_be_named(database: Database) -> None:
    with pytest.raises(UnknownProject, match="no project here yet; `tidemark project create"):
        Analytics.connect(database.reader)
    project = make_project(database, "only")
    with Analytics.connect(database.reader, mirror=False) as connected:
        assert connected.project == project
        assert {row.dau for row in connected.dau()} == {0}
        assert (connected.top_events().rows, connected.retention().rows) == ((), ())


def test_empty_project_and_one_event_have_answers_from_the_mirror_too(database: Database) -> None:
    project = make_project(database, "only")
    with Analytics.connect(database.reader) as connected:
        connected.sync()
        assert connected.retention().rows == ()
        assert connected.sql("select count(*) from events").rows == ((0,),)
        now = datetime.now(UTC).isoformat()
        happen(database, project, (now, "ann", "look"))
        [cohort] = connected.retention(window=1).rows
        assert (cohort.size, cohort.weeks[0].active) == (1, 1)
        assert len(connected.dau("1999-01-01", "1999-01-31").rows) == 31


def test_unknown_project_is_told_with_those_there_are(connect: Connect, shop: Project) -> None:
    with pytest.raises(UnknownProject, match="there is no project 'shops'; name one of 'shop'"):
        connect(project="shops")


def test_several_projects_must_be_told_apart(database: Database) -> None:
    for name in ("one", "two"):
        make_project(database, name)
    with pytest.raises(UnknownProject, match="no project was named; name one of 'one', 'two'"):
        Analytics.connect(database.reader)


def changed(url: str, **parameters: str) -> str:
    return make_conninfo("", **{**conninfo_to_dict(url), **parameters})


def test_unreachable_postgres_is_told_at_once(database: Database, tmp_path: Path) -> None:
    started = time.monotonic()
    for url, message in (
        ("postgresql://ann:secret-word@127.0.0.1:1/shop", r"127\.0\.0\.1 \(shop\).*refused"),
        (changed(database.reader, password="secret-word"), "password authentication failed"),
        (changed(database.reader, dbname="nowhere"), 'database "nowhere" does not exist'),
    ):
        with pytest.raises(Unreachable, match=message) as caught:
            Analytics.connect(url)
        assert "secret-word" not in str(caught.value)
    assert time.monotonic() - started < 5
    with pytest.raises(InvalidInput, match="no Postgres URL"):
        Analytics.connect("postgresql+asyncpg://ann@127.0.0.1/shop")
    with pytest.raises(Unreachable, match=r"no Tidemark runs in .*nothing; start one"):
        Analytics.connect(home=tmp_path / "nothing")


def test_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1 \(shop\).*timeout expired"):
            Analytics.connect(f"postgresql://ann@127.0.0.1:{port}/shop?connect_timeout=2")


def test_database_without_the_schema_is_told(empty_database: Database) -> None:
    with pytest.raises(Unreachable, match=r'relation "projects" does not exist.*tidemark migrate'):
        Analytics.connect(empty_database.owner)


def test_running_instance_is_found_through_its_data_directory(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(database, "here")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    (tmp_path / "running.json").write_text(json.dumps({"pid": 1, "reader": database.reader}))
    with Analytics.connect(home=tmp_path) as connected:
        assert connected.project.name == "here"
        connected.sync()
        assert list(tmp_path.glob("notebooks/0/events-*.duckdb"))
    (tmp_path / "running.json").write_text("{}")
    with pytest.raises(Unreachable, match=r"can't be read .*; start this version of"):
        Analytics.connect(home=tmp_path)


# What the app's settings are read from, none of which a library may take for its own.
_SETTINGS_OF_OTHERS = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
    "DATABASE_READER_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
    "MIRROR": "false",
    "DUCKDB_THREADS": "none",
}
_ASKED_ALONE = """
import sys
for name in {web}:
    sys.modules[name] = None  # as Python marks what can't be imported
from analytics import Analytics
with Analytics.connect(sys.argv[1], "shop") as shop:
    shop.sync()
    print(shop.dau({first!r}, {last!r}).meta.engine, len(shop.retention({first!r})) > 3)
    print(shop.sql("select count(*) from events where day < '2025-01-01'").rows)
"""


def test_works_over_postgres_without_the_web_packages_and_reads_no_settings(
    shop: Project, module_database: Database
) -> None:
    program = _ASKED_ALONE.format(web=sorted(WEB), first=FIRST, last=LAST)
    done = subprocess.run(
        [sys.executable, "-c", program, module_database.reader],
        env=_SETTINGS_OF_OTHERS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["mirror True", "((31106,),)"]


def test_postgres_that_stops_is_told_and_comes_back(servers, template) -> None:
    with new_database(servers, template) as database:
        make_project(database, "here")
        with Analytics.connect(database.reader) as connected:
            connected.sync()
            with psycopg.connect(servers.admin, autocommit=True) as admin:
                name = psycopg.conninfo.conninfo_to_dict(database.reader)["dbname"]
                admin.execute(f'alter database "{name}" allow_connections false')  # type: ignore[arg-type]
                admin.execute(
                    "select pg_terminate_backend(pid, 2000) from pg_stat_activity"
                    " where datname = %s",
                    [name],
                )
                for ask in (connected.dau, lambda: connected.sql("select 1"), connected.sync):
                    with pytest.raises(Unreachable):
                        ask()
                admin.execute(f'alter database "{name}" allow_connections true')  # type: ignore[arg-type]
            assert connected.dau().meta.engine == "mirror"


def test_engine_can_be_named(connect: Connect) -> None:
    connected = connect()
    connected.sync()
    answers = {
        name: connected.dau(FIRST, LAST, engine=name) for name in ("mirror", "postgres", "attached")
    }
    assert {name: answer.meta.engine for name, answer in answers.items()} == {
        name: name for name in answers
    }
    with pytest.raises(UnknownEngine, match="'clickhouse' is no engine; ask for mirror"):
        connected.dau(engine="clickhouse")


def test_days_that_are_none_are_refused(connect: Connect) -> None:
    connected = connect(mirror=False)
    for ask, message in (
        (lambda: connected.dau("2025-8-1"), "first is '2025-8-1' is not a day"),
        (lambda: connected.dau("2025-08-02", "2025-08-01"), "give the earlier day as from"),
        (lambda: connected.retention(window=0), "window is 0; show 1 to 104"),
        (lambda: connected.top_events(limit=0), "limit is 0"),
        (lambda: connected.dau(datetime(2025, 8, 1)), "give a calendar day"),
        (lambda: connected.dau(last=7), "last is 7; give a calendar day"),
        (lambda: connected.retention(today=date.min), "today is 0001-01-01; days from"),
    ):
        with pytest.raises(InvalidQuestion, match=message):
            ask()


def test_closed_connection_says_so(connect: Connect) -> None:
    connected = connect()
    connected.close()
    connected.close()
    for ask in (
        connected.dau,
        connected.retention,
        lambda: connected.sql("select 1"),
        connected.sync,
    ):
        with pytest.raises(Closed, match="closed; make another one"):
            ask()
    assert "closed" in repr(connected)


def test_connection_that_nobody_closes_leaves_no_file_and_no_thread(
    shop: Project, module_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    connected = Analytics.connect(module_database.reader, shop.name)
    connected.sync()
    assert list(tmp_path.glob("tidemark-mirror-*/0/events-*.duckdb"))
    del connected
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    assert "tidemark-mirror" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("mirror", [True, False], ids=["mirror", "live"])
def test_sql_waits_for_a_mirror_and_sees_what_was_committed_just_now(
    connect: Connect, module_database: Database, shop: Project, mirror: bool
) -> None:
    connected, day = connect(mirror=mirror), f"2031-01-0{1 + mirror}"
    counted = f"select count(*) from events where day <= '2024-06-30' or day = '{day}'"
    assert connected.sql(counted).rows == ((31106,),)
    happen(module_database, shop, (f"{day}T10:00:00+02:00", "ann", "look"))
    assert connected.sql(counted).rows == ((31107,),)
    assert (connected.dau(FIRST, LAST).meta.engine == "mirror") is mirror


def test_live_connection_keeps_nothing_before_sql_is_asked_for(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    connected = connect(mirror=False)
    connected.sync()
    assert connected.dau(FIRST, LAST).rows
    assert not list(tmp_path.rglob("events-*.duckdb"))
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(connected.sql, ["select count(*) from users"] * 4)
        assert len({each.rows for each in found}) == 1
    assert len(list(tmp_path.rglob("events-*.duckdb"))) == 1
    connected.close()
    assert list(tmp_path.iterdir()) == []


def test_threads_may_share_a_connection(connect: Connect) -> None:
    connected = connect()
    connected.sync()
    expected = connected.dau(FIRST, LAST).rows
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(connected.dau, FIRST, LAST) for _ in range(8)]
        counted = [
            threads.submit(connected.sql, "from active_users order by all") for _ in range(4)
        ]
        assert all(each.result().rows == expected for each in asked)
        assert len({each.result().rows for each in counted}) == 1


def test_time_limit_holds_for_statements(connect: Connect) -> None:
    connected = connect(timeout_seconds=1.0)
    connected.sync()
    started = time.monotonic()
    with pytest.raises(Exception, match="ran past its 1 s") as caught:
        connected.sql("select count(*) from range(10_000_000) a, range(10_000_000) b")
    assert caught.value.code == "deadline_exceeded"
    assert time.monotonic() - started < 20
    with closing(connected):
        assert connected.dau(FIRST, LAST).meta.elapsed_ms < timedelta(seconds=60) / timedelta(
            milliseconds=1
        )
