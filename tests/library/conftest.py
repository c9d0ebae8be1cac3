"""Projects in a database of the module's own, and the library connected to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from analytics import Analytics
from analytics.events import ProjectId
from analytics.project import Project
from analytics.reference.event import Event
from tests.conftest import Database
from tests.data import copy_events, data_set, of_project

WEB = {
    "fastapi", "starlette", "pydantic", "sqlalchemy", "asyncpg", "uvicorn", "typer", "app",
    "ingest",
}  # fmt: skip
"""What a notebook need not have installed, or import."""

_PUT = "insert into projects (name, timezone, week_start) values (%s, %s, %s) returning id"


def make_project(database: Database, name: str, timezone: str = "UTC") -> Project:
    """A project in the database, without events."""
    with psycopg.connect(database.owner) as connection:
        row = connection.execute(_PUT, [name, timezone, "monday"]).fetchone()
    assert row is not None
    return Project(ProjectId(row[0]), name, timezone)


@pytest.fixture(scope="module")
def shop(module_database: Database) -> Project:
    """A project with the bundled events."""
    project = make_project(module_database, "shop", "Europe/Kyiv")
    copy_events(module_database.writer, of_project(project.id, data_set("rete_ecom")))
    return project


@pytest.fixture
def connect(module_database: Database, shop: Project) -> Iterator[Callable[..., Analytics]]:
    """Connects to the shop; all connections are closed after the test."""
    made: list[Analytics] = []

    def connect(url: str = module_database.reader, **options: object) -> Analytics:
        made.append(Analytics.connect(url, **{"project": "shop", **options}))  # type: ignore[arg-type]
        return made[-1]

    yield connect
    for each in made:
        each.close()


@pytest.fixture
def mirrors(tmp_path: Path) -> Path:
    """The folder of a notebook's mirrors."""
    return tmp_path / "mirrors"


def happen(database: Database, project: Project, *events: tuple[str, str, str]) -> None:
    """Write (instant, user, event type)."""
    copy_events(
        database.writer,
        (Event(project.id, datetime.fromisoformat(at), user, kind) for at, user, kind in events),
    )
