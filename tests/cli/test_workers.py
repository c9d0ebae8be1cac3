"""`tidemark serve --workers`: real processes that are renewed, killed and stopped under load."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from app.accounts import keys, projects
from app.accounts.keys import Scope
from app.cli.project import in_transaction
from app.local.servers import ServerUrls
from tests.cli.test_up import TIDEMARK
from tests.conftest import Database

pytestmark = pytest.mark.slow

TOKEN = "for-the-metrics-of-this-test"


@dataclass
class Group:
    """`tidemark serve --workers N` and a project's keys."""

    process: subprocess.Popen[str]
    url: str
    keys: dict[str, dict[str, str]]
    log: Path
    failures: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def event(self) -> dict[str, str]:
        return {
            "event_id": str(uuid.uuid4()),
            "occurred_at": "2025-08-01T10:00:00Z",
            "user_id": "ann",
            "event_type": "look",
        }

    def sending(self, stopped: threading.Event, rate: float) -> None:
        """One sender and asker with a connection of its own, opened anew now and then."""
        number = 0
        begin = time.monotonic()
        while not stopped.is_set():
            with closing(HTTPConnection(self.url.removeprefix("http://"), timeout=20)) as client:
                for _ in range(50):
                    if stopped.wait(max(0, begin + number / rate - time.monotonic())):
                        return
                    number += 1
                    self.ask(client, number)

    def ask(self, client: HTTPConnection, number: int) -> None:
        event = self.event()
        try:
            if number % 4:
                headers = {**self.keys["ingest"], "Content-Type": "application/json"}
                client.request("POST", "/api/events", json.dumps([event]), headers)
            else:
                question = "/api/stats/dau?from=2025-08-01&to=2025-08-02"
                client.request("GET", question, headers=self.keys["read"])
            answer = client.getresponse()
            body = answer.read()
            if answer.status >= 300:
                self.failures.append(f"{answer.status} {body!r}")
            elif number % 4:
                self.taken.append(event["event_id"])
        except (HTTPException, OSError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")


Start = Callable[..., Group]


@pytest.fixture
def start(
    database: Database, servers: ServerUrls, tmp_path: Path, secret_key: str
) -> Iterator[Start]:
    environment = {
        **os.environ,
        "DATABASE_URL": database.writer,
        "DATABASE_READER_URL": database.reader,
        "REDIS_URL": servers.redis,
        "SECRET_KEY": secret_key,
        "METRICS_TOKEN": TOKEN,
        "MIRROR_DIRECTORY": str(tmp_path / "mirrors"),
        "TIDEMARK_HOME": str(tmp_path / "home"),
        "ACCESS_LOG": "false",
        "DUCKDB_MEMORY_MB": "128",
    }
    started: list[Group] = []

    async def made(connection: AsyncConnection) -> dict[str, dict[str, str]]:
        project = await projects.create(connection, "shop", "UTC", WeekStart.MONDAY)
        found = {}
        for scope in Scope:
            key = (await keys.create(connection, project.id, scope)).secret
            found[scope.value] = {"Authorization": f"Bearer {key}"}
        return found

    def serve(workers: int = 2, **more: str) -> Group:
        headers = asyncio.run(in_transaction(database.writer, made))
        log = tmp_path / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [TIDEMARK, "serve", "--workers", str(workers), "--port", "0"],
                env={**environment, **more},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.findall(r"http://[\d.:]+", line)
        assert url, log.read_text()
        started.append(Group(process, url[0], headers, log))
        return started[-1]

    yield serve
    for group in started:
        group.process.kill()
        group.process.wait()
        if group.process.stdout is not None:
            group.process.stdout.close()


def until(holds: Callable[[], bool], group: Group, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, group.log.read_text()
        assert group.process.poll() is None, group.log.read_text()
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def renewals(group: Group) -> int:
    return group.log.read_text().count("worker.renewed")


def test_rolling_restart_under_load_fails_no_request(start: Start, database: Database) -> None:
    group = start(2)
    httpx.get(f"{group.url}/readyz", timeout=60).raise_for_status()
    stopped, senders, rate = threading.Event(), 24, 220.0
    threads = [
        threading.Thread(target=group.sending, args=(stopped, rate / senders))
        for _ in range(senders)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    before = group.workers()
    time.sleep(2)
    group.signal(signal.SIGHUP)
    until(lambda: renewals(group) == 2, group)
    group.signal(signal.SIGHUP)
    until(lambda: renewals(group) == 4, group)
    time.sleep(2)
    stopped.set()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    requests = len(group.taken) * 4 / 3
    print(
        f"\n{requests / seconds:.0f} requests/s for {seconds:.0f} s, {len(group.failures)} failed"
    )
    assert group.failures == []
    assert len(group.workers()) == 2
    assert not group.workers() & before
    with psycopg.connect(database.owner) as connection:
        kept = {str(row[0]) for row in connection.execute("select event_id from events")}
    assert kept == set(group.taken)
    metrics = httpx.get(f"{group.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    counted = re.findall(r'^events_total\{outcome="inserted".*\} (\S+)', metrics, re.MULTILINE)
    assert sum(map(float, counted)) == len(group.taken), "workers that are gone still count"


def test_workers_are_replaced_when_killed_and_end_with_their_parent(start: Start) -> None:
    group = start(2)
    httpx.get(f"{group.url}/healthz", timeout=60).raise_for_status()
    until(lambda: "workers.ready" in group.log.read_text(), group)
    first = group.workers()
    os.kill(min(first), signal.SIGKILL)
    until(lambda: len(group.workers()) == 2 and group.workers() != first, group)
    until(lambda: httpx.get(f"{group.url}/readyz", timeout=60).status_code == 200, group)

    left = group.workers()
    group.process.kill()
    end = time.monotonic() + 30
    while any(map(alive, left)):
        assert time.monotonic() < end, "workers outlive their parent"
        time.sleep(0.05)


def test_stop_says_so_and_finishes_what_it_has_begun(start: Start, database: Database) -> None:
    group = start(2, SHUTDOWN_NOTICE="2")
    with httpx.Client(base_url=group.url, timeout=60) as client:
        assert client.get("/readyz").json()["status"] in {"ready", "degraded"}
        begun = threading.Event()

        def rows() -> Iterator[bytes]:
            yield b"event_id,occurred_at,user_id,event_type\n"
            begun.set()
            for number in range(20):
                time.sleep(0.1)
                yield f"{uuid.uuid4()},2025-08-01T10:00:00Z,user{number},look\n".encode()

        answers: list[httpx.Response] = []
        headers = {**group.keys["ingest"], "Content-Type": "text/csv"}

        def load() -> None:
            url = f"{group.url}/api/events"
            answers.append(httpx.post(url, content=rows(), headers=headers, timeout=60))

        loading = threading.Thread(target=load)
        loading.start()
        assert begun.wait(30)
        group.signal(signal.SIGTERM)
        end = time.monotonic() + 5
        while (answer := client.get("/readyz")).status_code == 200:
            assert time.monotonic() < end, "it never says that it stops"
            time.sleep(0.02)
        assert answer.json()["status"] == "stopping"
        assert answer.headers["connection"] == "close"
        loading.join()
    assert answers[0].json()["inserted"] == 20
    assert group.process.wait(30) == 0
    with psycopg.connect(database.owner) as connection:
        assert connection.execute("select count(*) from events").fetchone() == (20,)


def test_stop_rolls_back_a_load_that_does_not_end(start: Start, database: Database) -> None:
    group = start(1)
    httpx.get(f"{group.url}/readyz", timeout=60).raise_for_status()
    begun, over = threading.Event(), threading.Event()
    answers: list[int] = []

    def rows() -> Iterator[bytes]:
        yield b"event_id,occurred_at,user_id,event_type\n"
        for number in range(5_000):
            yield f"{uuid.uuid4()},2025-08-01T10:00:00Z,user{number},look\n".encode()
        begun.set()
        while not over.wait(0.2):
            yield b"\n"

    def load() -> None:
        headers = {**group.keys["ingest"], "Content-Type": "text/csv"}
        with suppress(httpx.HTTPError):
            url = f"{group.url}/api/events"
            answers.append(httpx.post(url, content=rows(), headers=headers, timeout=60).status_code)

    loading = threading.Thread(target=load)
    loading.start()
    assert begun.wait(30)
    time.sleep(0.5)
    group.signal(signal.SIGTERM)
    assert group.process.wait(30) == 143
    over.set()
    loading.join()
    assert all(status >= 500 for status in answers)
    with psycopg.connect(database.owner) as connection:
        assert connection.execute("select count(*) from events").fetchone() == (0,)


def test_no_worker_that_starts_is_one_error(start: Start, tmp_path: Path) -> None:
    (tmp_path / "mirrors").mkdir()
    (tmp_path / "mirrors" / "0").touch()  # where the first worker's own folder belongs
    group = start(2)
    assert group.process.wait(60) == 1
    assert "could not start" in group.log.read_text()
