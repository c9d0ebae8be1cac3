"""`tidemark serve --workers`: real processes that are renewed, killed and stopped under load."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
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
from tests.cli.steady_load import SteadyLoad
from tests.cli.test_up import TIDEMARK
from tests.conftest import Database

pytestmark = [pytest.mark.slow, pytest.mark.faults]

TOKEN = "for-the-metrics-of-this-test"


@dataclass
class Group:
    """`tidemark serve --workers N` and a project's keys."""

    process: subprocess.Popen[str]
    url: str
    keys: dict[str, dict[str, str]]
    log: Path

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


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


def until_ready(group: Group) -> None:
    until(lambda: httpx.get(f"{group.url}/readyz", timeout=60).status_code == 200, group)


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
    until_ready(group)
    load = SteadyLoad(int(group.url.rpartition(":")[2]), group.keys, rate=210)
    before = group.workers()
    with load.flowing():
        time.sleep(2)
        begin = time.monotonic()
        group.signal(signal.SIGHUP)
        until(lambda: renewals(group) == 2, group, 120)
        change = (begin, time.monotonic())
        time.sleep(2)
    meanwhile = load.between(*change)
    print(
        f"\n{load.reached:.0f} requests/s, {meanwhile} of them in"
        f" {change[1] - change[0]:.1f} s of change; 99 of 100 waited"
        f" {load.percentile(0.99) * 1000:.0f} ms or less; {len(load.failures)} failed"
    )
    assert load.failures == []
    assert meanwhile, "nothing was asked while workers changed"
    assert len(group.workers()) == 2
    assert not group.workers() & before
    with psycopg.connect(database.owner) as connection:
        kept = {str(row[0]) for row in connection.execute("select event_id from events")}
    assert kept == set(load.taken)
    metrics = httpx.get(f"{group.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    counted = re.findall(r'^events_total\{outcome="inserted".*\} (\S+)', metrics, re.MULTILINE)
    assert sum(map(float, counted)) == len(load.taken), "workers that are gone still count"


def test_workers_are_replaced_when_killed_and_end_with_their_parent(start: Start) -> None:
    group = start(2)
    httpx.get(f"{group.url}/healthz", timeout=60).raise_for_status()
    until(lambda: "workers.ready" in group.log.read_text(), group)
    first = group.workers()
    os.kill(min(first), signal.SIGKILL)
    until(lambda: len(group.workers()) == 2 and group.workers() != first, group)
    until_ready(group)

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
    until_ready(group)
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
