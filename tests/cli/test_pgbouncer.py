"""Through PgBouncer: by session everything works, by transaction nothing starts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
import pytest

from analytics.engines.choose import Engines
from analytics.events import ProjectId
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Plan
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from tests.cli.conftest import Tidemark
from tests.conftest import Database
from tests.data import copy_events, data_set, of_project

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is missing: apt-get install pgbouncer"),
]
FIRST, LAST = date(2004, 1, 1), date(2026, 1, 1)
Pooled = Callable[[str], AbstractContextManager[Database]]


@pytest.fixture
def pooled(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Pooled:
    """The test's database as it is seen through a PgBouncer of its own."""

    @contextmanager
    def pooled(mode: str) -> Iterator[Database]:
        folder = tmp_path_factory.mktemp("pgbouncer")
        roles = ("owner", "writer", "reader")
        urls = [urlsplit(getattr(database, role)) for role in roles]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        name = urls[0].path.strip("/")
        host, at = _address(database.owner)
        users = "".join(f'"{url.username}" "{url.password}"\n' for url in urls)
        (folder / "users").write_text(users)
        (folder / "ini").write_text(f"""[databases]
{name} = host={host} port={at}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder / "users"}
pool_mode = {mode}
""")
        command: list[str | Path] = [str(PROGRAM), "--quiet", folder / "ini"]
        if os.geteuid() == 0:  # it refuses to run as root, and Postgres's socket is its owner's
            user = Path(host).owner() if host.startswith("/") else "nobody"
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
            for parent in folder.parents[:3]:
                parent.chmod(parent.stat().st_mode | 0o011)
            command = ["runuser", "-u", user, "--", *command]
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as bouncer:
            try:
                _wait(port, bouncer, folder / "log")
                through = [
                    f"postgresql://{url.username}:{url.password}@127.0.0.1:{port}/{name}"
                    "?sslmode=disable"
                    for url in urls
                ]
                yield replace(database, **dict(zip(roles, through, strict=True)))
            finally:
                bouncer.terminate()

    return pooled


def _address(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    given = parse_qs(parts.query)
    host, port = given.get("host", [parts.hostname or ""]), given.get("port", [str(parts.port)])
    return unquote(host[0]), port[0]


def _wait(port: int, bouncer: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert bouncer.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return


def use(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("owner", "reader"):
        monkeypatch.setenv(f"DATABASE_{name.upper()}_URL", getattr(database, name))
    monkeypatch.setenv("DATABASE_URL", database.writer)


def test_by_session_loads_questions_and_a_mirror_work(
    tidemark: Tidemark,
    database: Database,
    pooled: Pooled,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = Path(__file__).parents[1] / "fixtures/data/rete_ecom.csv.gz"
    with pooled("session") as through:
        use(through, monkeypatch)
        assert tidemark("migrate").code == 0
        assert tidemark("project", "create", "shop").code == 0
        for expected in ("inserted", "duplicate"):
            loaded = tidemark("import", str(file), "--project", "shop")
            assert loaded.code == 0, loaded.err
            assert expected in loaded.out
        keeper = Keeper(Plan(tmp_path / "mirrors", through.reader))
        try:
            keeper.open()
            before = answers(database, through, keeper)
            events = of_project(ProjectId(1), data_set("git_rails")[:500])
            copy_events(through.writer, events)
            with psycopg.connect(through.owner) as connection:
                connection.execute(
                    "delete from events where event_id in (select event_id from events limit 200)"
                )
            unsynced = answers(database, through, keeper)
            keeper.sync()
            assert answers(database, through, keeper) == unsynced != before
        finally:
            keeper.close()
        doctor = tidemark("doctor")
        assert "one session to several" not in doctor.out


def answers(direct: Database, through: Database, keeper: Keeper) -> list[object]:
    """The three questions by every engine through the pooler; all as Postgres itself says."""
    project, days = Project(ProjectId(1), "shop"), DayRange(FIRST, LAST)
    questions = [Dau(project, days), TopEvents(project, days), Retention(project, FIRST, LAST)]
    found: list[object] = []
    with (
        Engines.connect(direct.reader) as engines,
        Engines.connect(through.reader, keeper=keeper) as pooled,
    ):
        for question in questions:
            truth = engines.answer(question, "postgres").rows
            for engine in ("postgres", "attached", "mirror"):
                assert pooled.answer(question, engine).rows == truth, engine
            found.append(truth)
    return found


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_by_transaction_nothing_starts(
    tidemark: Tidemark, pooled: Pooled, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with pooled(mode) as through:
        use(through, monkeypatch)
        refused = tidemark("serve", "--port", "0")
        found = tidemark("doctor")
    assert refused.code == 1
    assert "pool by session" in refused.err
    assert "pool_mode = session" in found.out
