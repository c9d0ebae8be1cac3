"""`tidemark mirror`: with a server that holds the mirror, and without one."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.cli.conftest import Tidemark
from tests.conftest import Database

DAYS = ("--from", "2025-08-01", "--to", "2025-08-02")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this test's mirrors."""
    folder = tmp_path / "a folder so deep that the path of its socket is longer than a kernel takes"
    monkeypatch.setenv("MIRROR_DIRECTORY", str(folder / "mirrors"))
    return folder / "mirrors"


@pytest.fixture
def shop(tidemark: Tidemark, database: Database, own: Path) -> str:
    assert tidemark("project", "create", "shop").code == 0
    insert(database, "ann", "bob")
    return "shop"


def insert(database: Database, *users: str) -> None:
    with psycopg.connect(database.writer) as connection:
        for user in users:
            connection.execute(
                "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
                " select id, %s, '2025-08-01 10:00+00', %s, 'look' from projects",
                [uuid.uuid4(), user],
            )


def test_without_a_server_the_commands_open_the_mirror_themselves(
    tidemark: Tidemark, shop: str, database: Database, own: Path
) -> None:
    assert "No server keeps a mirror here" in tidemark("mirror", "status").out
    assert json.loads(tidemark("mirror", "sync", "--json").out)["rows"] == 0  # built just now
    insert(database, "cem")
    assert json.loads(tidemark("mirror", "sync", "--json").out)["rows"] == 1
    verified = tidemark("mirror", "verify")
    assert verified.out.startswith("3 events below transaction ")
    assert "are equal" in verified.out
    assert tidemark("mirror", "rebuild").out.startswith("Built anew in ")
    assert [path.suffix for path in (own / "0").glob("events-*")] == [".duckdb"]


def test_verify_says_where_the_mirror_differs_and_fails(
    tidemark: Tidemark, shop: str, own: Path
) -> None:
    tidemark("mirror", "sync")
    [file] = (own / "0").glob("events-*.duckdb")
    with duckdb.connect(file) as connection:
        connection.execute("delete from events where rowid = 0")
    found = tidemark("mirror", "verify")
    assert found.code == 1
    assert "Project 1, 2025-08-01: 1 events in the mirror, 2 in Postgres" in found.out
    assert "The roll-up type_counts does not follow" in found.out
    assert "`tidemark mirror rebuild` makes it anew" in found.err
    assert json.loads(tidemark("mirror", "verify", "--json").out)["ok"] is False
    assert tidemark("mirror", "rebuild").code == 0
    assert tidemark("mirror", "verify").code == 0


@pytest.fixture
def server(shop: str, database: Database) -> Iterator[subprocess.Popen[str]]:
    """`tidemark serve`, with its mirror built."""
    with subprocess.Popen(
        [Path(sys.executable).parent / "tidemark", "serve", "--port", "0"],
        env={**os.environ, "REDIS_URL": ""},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "Serving" in process.stdout.readline()
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in {0, 128 + signal.SIGTERM}


def until_ready(tidemark: Tidemark) -> None:
    end = time.monotonic() + 30
    while True:
        reports = json.loads(tidemark("mirror", "status", "--json").out)
        if reports and reports[0]["status"]["latest"]:
            return
        assert time.monotonic() < end, reports
        time.sleep(0.1)


def test_server_that_holds_the_mirror_is_asked(
    tidemark: Tidemark, server: subprocess.Popen[str], database: Database, own: Path
) -> None:
    until_ready(tidemark)
    status = tidemark("mirror", "status")
    assert str(server.pid) in status.out
    assert "ready" in status.out

    asked = ("stats", "dau", "--project", "shop", *DAYS, "--json")
    insert(database, "dan")
    answer = json.loads(tidemark(*asked).out)
    assert answer["data"] == [{"day": "2025-08-01", "dau": 3}, {"day": "2025-08-02", "dau": 0}]
    assert answer["meta"]["engine"] == "mirror"

    assert tidemark("mirror", "verify").code == 0
    assert tidemark("mirror", "rebuild").code == 0
    assert tidemark("mirror", "sync").code == 0
    assert tidemark("mirror", "verify").code == 0
    assert json.loads(tidemark(*asked).out)["data"] == answer["data"]


def test_server_that_was_out_of_file_handles_can_be_asked_again(
    tidemark: Tidemark, server: subprocess.Popen[str], own: Path
) -> None:
    until_ready(tidemark)
    usual = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, usual[1]))
    # The kernel has a handle ready for the next caller, and none for the one after.
    tidemark("mirror", "status")
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, usual)
    asked = [Path(sys.executable).parent / "tidemark", "mirror", "status"]
    status = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=20)
    assert str(server.pid) in status.stdout, status.stderr


def test_server_of_another_database_is_not_asked(
    tidemark: Tidemark,
    server: subprocess.Popen[str],
    empty_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    until_ready(tidemark)
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_READER_URL"):
        monkeypatch.setenv(name, empty_database.owner)
    assert tidemark("migrate").code == 0
    assert tidemark("project", "create", "shop").code == 0
    answer = json.loads(tidemark("stats", "dau", "--project", "shop", *DAYS, "--json").out)
    assert [day["dau"] for day in answer["data"]] == [0, 0]
    assert answer["meta"]["engine"] == "attached"


def test_stats_without_a_server_build_no_mirror(tidemark: Tidemark, shop: str, own: Path) -> None:
    answer = json.loads(tidemark("stats", "dau", "--project", shop, *DAYS, "--json").out)
    assert answer["data"][0]["dau"] == 2
    assert answer["meta"]["engine"] == "attached"
    assert not own.exists()


def test_killed_servers_mirror_is_taken_over_warm(
    tidemark: Tidemark, server: subprocess.Popen[str], database: Database, own: Path
) -> None:
    until_ready(tidemark)
    [file] = (own / "0").glob("events-*.duckdb")
    server.kill()
    server.wait(10)
    insert(database, "eve")
    assert json.loads(tidemark("mirror", "sync", "--json").out)["rows"] == 1
    assert file.exists()
    assert tidemark("mirror", "verify").code == 0
