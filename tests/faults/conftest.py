"""Faults of whole servers: each test has a Postgres, a Valkey and a service of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from app.accounts import keys, projects
from app.accounts.keys import Scope
from app.cli.project import in_transaction
from app.database.migrate import upgrade
from app.local.home import Home
from app.local.servers import local_servers
from tests.api.test_redis_faults import Valkey
from tests.faults.own_postgres import OPTIONS, Address, OwnPostgres, copy_owned
from tests.faults.service import Headers, Service
from tests.faults.stack import Stack, environment
from tests.faults.traffic import Recovery, Traffic

RECOVERY = "recovery"
PROMISED_SECONDS = 10

Prepared = tuple[Home, dict[str, Headers]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the unprivileged user of the servers can reach, with a path short enough."""
    with tempfile.TemporaryDirectory(prefix="tidemark-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def prepared() -> Iterator[Prepared]:
    """A data directory with the schema, a project and its keys; every test has a copy of it."""

    async def make(connection: AsyncConnection) -> dict[str, Headers]:
        project = await projects.create(connection, "shop", "Europe/Kyiv", WeekStart.MONDAY)
        made = {scope: (await keys.create(connection, project.id, scope)).secret for scope in Scope}
        return {
            scope.value: {"Authorization": f"Bearer {secret}"} for scope, secret in made.items()
        }

    with tempfile.TemporaryDirectory(prefix="tidemark-", ignore_cleanup_errors=True) as name:
        home = Home(Path(name))
        with local_servers(home, options=OPTIONS) as urls:
            upgrade(urls.owner)
            made = asyncio.run(in_transaction(urls.writer, make))
        yield home, made


@pytest.fixture
def new_home(folder: Path) -> Callable[[str], Home]:
    """An empty data directory of this test."""

    def new_home(name: str) -> Home:
        home = Home(folder / name)
        home.create()
        return home

    return new_home


@pytest.fixture
def stack(
    prepared: Prepared, new_home: Callable[[str], Home], folder: Path, secret_key: str
) -> Iterator[Stack]:
    """Servers that run, and a service that doesn't yet."""
    source, made = prepared
    home = new_home("one")
    shutil.copy2(source.secrets, home.secrets)
    copy_owned(source.postgres / "data", home.postgres / "data")
    postgres, address = OwnPostgres(home), Address(folder)
    with ExitStack() as undo:
        undo.callback(postgres.stop)
        postgres.start()
        address.move(postgres)
        database = address.database(postgres)
        (folder / "redis").mkdir()
        redis = Valkey(folder / "redis")
        redis.start()
        undo.callback(redis.stop)
        settings = environment(database, redis, str(folder), os.environ)
        service = Service(settings, folder / "service.log", made)
        undo.callback(service.end)
        yield Stack(postgres, address, database, redis, service)


@pytest.fixture
def traffic(stack: Stack) -> Traffic:
    """Traffic to the stack's service, not under way yet."""
    return Traffic(stack.service)


Noted = Callable[[Recovery], None]


@pytest.fixture
def noted(record_property: Callable[[str, object], None]) -> Noted:
    """Keeps a recovery for the table at the end."""
    return lambda recovery: record_property(RECOVERY, json.dumps(asdict(recovery)))


@pytest.fixture
def timed(stack: Stack, traffic: Traffic, noted: Noted) -> Callable[[str], Recovery]:
    """Waits for the recovery from a fault whose part is back now, and keeps it."""

    def timed(fault: str, back: float | None = None) -> Recovery:
        recovery = traffic.recovered(fault, time.monotonic() if back is None else back)
        noted(recovery)
        return recovery

    return timed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of recoveries, in Markdown, as docs/operations.md has it."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    found = [
        Recovery(**json.loads(str(value)))
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == RECOVERY
    ]
    if not found:
        return
    terminalreporter.section("seconds until all went well again, once the part was back")
    lines = [
        "| fault | events taken | answers | answers by the mirror |",
        "|---|---|---|---|",
        *(f"| {r.fault} | {r.events:.1f} | {r.answers:.1f} | {r.mirror:.1f} |" for r in found),
    ]
    slowest = max(max(each.events, each.answers, each.mirror) for each in found)
    lines.append(f"\nThe slowest took {slowest:.1f} s; {PROMISED_SECONDS} are promised.")
    for line in lines:
        terminalreporter.write_line(line)
