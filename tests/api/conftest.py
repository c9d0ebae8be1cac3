"""The API as its callers see it: a running app, projects, keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from analytics.project import Project
from app.accounts import keys, projects
from app.accounts.keys import Scope
from app.cli.project import in_transaction
from app.local.servers import ServerUrls
from app.main import create_app
from app.settings import Settings
from tests.conftest import Database


@dataclass(frozen=True, slots=True)
class Caller:
    """A project and the headers of a caller with each kind of key."""

    project: Project
    read: dict[str, str]
    ingest: dict[str, str]


@pytest.fixture(scope="module")
def settings(servers: ServerUrls, module_database: Database) -> Settings:
    return Settings(
        database_url=SecretStr(module_database.writer),
        database_reader_url=SecretStr(module_database.reader),
        redis_url=SecretStr(servers.redis),
    )


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings, local=True), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def make_caller(module_database: Database) -> Callable[..., Caller]:
    def make(name: str, timezone: str = "UTC", week_start: WeekStart = WeekStart.MONDAY) -> Caller:
        async def work(connection: AsyncConnection) -> Caller:
            project = await projects.create(connection, name, timezone, week_start)
            made = {scope: (await keys.create(connection, project.id, scope)).secret for scope in Scope}
            return Caller(
                project,
                *({"Authorization": f"Bearer {made[s]}"} for s in (Scope.READ, Scope.INGEST)),
            )

        return asyncio.run(in_transaction(module_database.writer, work))

    return make


@pytest.fixture(scope="module")
def caller(make_caller: Callable[..., Caller], request: pytest.FixtureRequest) -> Caller:
    return make_caller(request.module.__name__)
