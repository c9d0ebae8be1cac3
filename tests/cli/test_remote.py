"""`tidemark import --url`: the same report as by the database, through the API of a real server."""

from __future__ import annotations

import asyncio
import json
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from app.accounts import keys, projects
from app.accounts.keys import Scope
from app.cli import remote
from app.cli.project import in_transaction
from app.local.servers import ServerUrls
from app.settings import Settings
from tests.api.test_sockets import serving
from tests.cli.conftest import Tidemark
from tests.conftest import Database
from tests.format_matrix import EVENTS, MATRIX, SIZE, STORED, as_csv
from tests.unit.ingest.rows import csv_file, row

Keys = dict[Scope, str]


@pytest.fixture
def address(database: Database) -> Iterator[tuple[str, int]]:
    settings = Settings(
        database_url=SecretStr(database.writer), database_reader_url=SecretStr(database.reader)
    )
    with serving(settings) as found:
        yield found


@pytest.fixture
def url(address: tuple[str, int]) -> str:
    return f"http://{address[0]}:{address[1]}"


@pytest.fixture
def made(database: Database) -> Keys:
    """Keys of a project."""

    async def make(connection: AsyncConnection) -> Keys:
        project = await projects.create(connection, "shop", "UTC", WeekStart.MONDAY)
        return {scope: (await keys.create(connection, project.id, scope)).secret for scope in Scope}

    return asyncio.run(in_transaction(database.writer, make))


@pytest.fixture
def without_database(tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch, made: Keys) -> Tidemark:
    """The command, where no database can be reached."""
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_READER_URL"):
        monkeypatch.setenv(name, "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("TIDEMARK_KEY", made[Scope.INGEST])
    monkeypatch.setattr(remote, "_WAITS", (0.0, 0.01, 0.01))
    return tidemark


def stored(database: Database) -> list[Any]:
    with psycopg.connect(database.reader) as connection:
        connection.execute("set time zone 'UTC'")
        return connection.execute(
            "select event_id, occurred_at, user_id, event_type, properties from events"
            " order by event_id"
        ).fetchall()


COUNTS = ("rows", "inserted", "duplicates", "rejected")


@pytest.mark.parametrize("name", ["csv.gz", "parquet", "json.zst"])
def test_a_file_is_loaded_without_the_database(
    without_database: Tidemark, url: str, database: Database, tmp_path: Path, name: str
) -> None:
    (case,) = [case for case in MATRIX if str(case) == name]
    file = tmp_path / case.name
    file.write_bytes(case.content)
    reports = []
    for _ in range(2):
        finished = without_database("import", str(file), "--url", url, "--json")
        assert finished.code == 0, finished.err
        reports.append([json.loads(finished.out)[count] for count in COUNTS])
    assert reports == [[SIZE, SIZE, 0, 0], [SIZE, 0, SIZE, 0]]
    assert stored(database) == STORED


def test_rejects_columns_and_batches_are_as_without_url(
    without_database: Tidemark,
    url: str,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    header = ("event_id", "occurred_at", "customer", "event_type", "properties")
    rows = [row(n) for n in (1, 2, 2, 3)] + [row(4, occurred_at="x"), row(5, event_id="order-5")]
    Path("shop.csv").write_bytes(csv_file(rows, header))
    finished = without_database(
        *("import", "shop.csv", "--url", f"{url}/api/", "--json"),
        *("--map", "user_id=customer", "--batch-size", "2"),
    )
    assert finished.code == 3
    report = json.loads(finished.out)
    assert [report[count] for count in COUNTS] == [6, 4, 1, 1]
    assert report["batches"] == 3
    rejected = json.loads(Path("shop.csv.rejects.ndjson").read_text())
    assert rejected["occurred_at"] == "x"
    derived = {str(event_id) for event_id, *_ in stored(database)}
    # What is no UUID becomes the id that an import by the database would have given it.
    with psycopg.connect(database.owner) as connection:
        connection.execute("truncate events")
    without_database("import", "shop.csv", "--url", url, "--map", "user_id=customer")
    assert {str(event_id) for event_id, *_ in stored(database)} == derived


class Proxy:
    """Stands before the server and loses whole answers, or requests, while told to."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lose = 0
        self._over = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lost = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def lose_answers(self, count: int) -> None:
        self._lose = count

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            if select.select([self._listener], [], [], 0.02)[0]:
                thread = threading.Thread(target=self._serve, args=self._listener.accept()[:1])
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._upstream) as server:
            while not self._over.is_set():
                for source in select.select([client, server], [], [], 0.02)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is server and self._lose:
                        self._lose -= 1
                        self.lost += 1
                        return
                    (server if source is client else client).sendall(data)


@pytest.fixture
def proxy(address: tuple[str, int]) -> Iterator[Proxy]:
    running = Proxy(address)
    yield running
    running.close()


def test_a_lost_answer_costs_a_retry_and_never_an_event(
    without_database: Tidemark, proxy: Proxy, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(as_csv(EVENTS))
    proxy.lose_answers(2)
    finished = without_database("import", str(file), "--url", proxy.url, "--json")
    assert finished.code == 0, finished.err
    assert proxy.lost == 2
    report = json.loads(finished.out)
    assert (report["rows"], report["inserted"] + report["duplicates"]) == (SIZE, SIZE)
    assert stored(database) == STORED


def test_a_server_that_says_not_so_fast_is_waited_for(
    without_database: Tidemark,
    servers: ServerUrls,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(csv_file([row(number) for number in range(60)]))
    monkeypatch.setattr(remote, "_WAITS", (0.0,))  # a 429 is no failure
    Redis.from_url(servers.redis).flushdb()
    settings = Settings(
        database_url=SecretStr(database.writer),
        database_reader_url=SecretStr(database.reader),
        redis_url=SecretStr(servers.redis),
        rate_limit=60,
    )
    with serving(settings) as (host, port):
        url = f"http://{host}:{port}"
        finished = without_database("import", str(file), "--url", url, "--batch-size", "59")
        assert finished.code == 0, finished.err
        line = r'^throttle_decisions_total{limit="events",outcome="refused"} (\S+)$'
        refused = re.search(line, metrics(url), re.MULTILINE)
    assert refused is not None
    assert float(refused[1]) >= 1
    assert len(stored(database)) == 60


def metrics(url: str) -> str:
    return httpx.get(f"{url}/metrics").text


def test_a_server_that_stays_away_is_told_with_how_to_go_on(
    without_database: Tidemark, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(as_csv(EVENTS))
    finished = without_database("import", str(file), "--url", "http://127.0.0.1:1")
    assert finished.code == 1
    assert "http://127.0.0.1:1 gives no answer" in finished.err


def test_a_server_that_goes_away_later_is_told_with_what_is_in_the_table(
    without_database: Tidemark,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(as_csv(EVENTS))
    written = remote.RemoteWriter.write

    async def write(self: remote.RemoteWriter, encoded: bytes, rows: int) -> Any:
        result = await written(self, encoded, rows)
        proxy.lose_answers(1_000)
        return result

    monkeypatch.setattr(remote.RemoteWriter, "write", write)
    finished = without_database("import", str(file), "--url", proxy.url, "--batch-size", "100")
    assert finished.code == 1
    assert "The server went away during the load" in finished.err
    assert "100 rows before are in the table; run it again" in finished.err


@pytest.mark.parametrize("scope", [Scope.READ, None])
def test_a_key_that_may_not_write_is_refused(
    without_database: Tidemark, url: str, made: Keys, tmp_path: Path, scope: Scope | None
) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(as_csv(EVENTS))
    key = made[scope] if scope else "tmk_ingest_nonsense"
    finished = without_database("import", str(file), "--url", url, "--key", key)
    assert finished.code == 1
    assert ("scope" if scope else "unknown, revoked or expired") in finished.err
    assert key not in finished.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--url", "ftp://host"], "is no address"),
        (["--url", "http://host", "--project", "shop"], "leave --project out"),
        (["--url", "http://host", "--dry-run"], "--dry-run"),
        ([], "name the project"),
    ],
)
def test_options_that_can_not_be_meant_together_are_refused(
    without_database: Tidemark, tmp_path: Path, arguments: list[str], says: str
) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(as_csv(EVENTS))
    finished = without_database("import", str(file), *arguments)
    assert finished.code != 0
    assert says in finished.err


def test_without_a_key_the_url_is_refused(
    without_database: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEMARK_KEY")
    finished = without_database("import", "events.csv", "--url", "http://host")
    assert finished.code == 2
    assert "--url needs a key" in finished.err
