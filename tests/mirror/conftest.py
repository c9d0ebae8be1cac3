"""A fresh database a test, a mirror of it kept by hand, and one shop to ask about."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from analytics.events import ProjectId
from analytics.mirror.errors import MirrorBroken, MirrorUnavailable
from analytics.project import Project
from tests.conftest import Database
from tests.mirror.comparison import Comparison, Window
from tests.mirror.hand_kept import HandKept

SHOP = Project(ProjectId(1), "shop", "America/New_York")
WINDOW = Window(date(2025, 2, 24), date(2025, 3, 23), weeks=4)
AT = datetime(2025, 3, 9, 7, tzinfo=UTC)

Write = Callable[..., psycopg.Connection[Any]]


@pytest.fixture
def mirror(database: Database, tmp_path: Path) -> Iterator[HandKept]:
    """Built when the test says so, or first asks."""
    with psycopg.connect(database.owner) as connection:
        connection.execute(
            "insert into projects (name, timezone) values (%s, %s)", [SHOP.name, SHOP.timezone]
        )
    with HandKept(database, tmp_path) as keeper:
        yield keeper


@pytest.fixture
def connect(database: Database) -> Iterator[Write]:
    """A connection of the owner's, in autocommit or, with `open_transaction`, in a transaction."""
    made: list[psycopg.Connection[Any]] = []

    def connect(*, open_transaction: bool = False) -> psycopg.Connection[Any]:
        made.append(psycopg.connect(database.owner, autocommit=not open_transaction))
        if open_transaction:
            made[-1].execute("select pg_current_xact_id()")
        return made[-1]

    yield connect
    for connection in made:
        connection.close()
    # One left behind would hold back every mirror on this server.
    pending = "select gid from pg_prepared_xacts where database = current_database()"
    with psycopg.connect(database.admin, autocommit=True) as admin:
        for (name,) in admin.execute(pending).fetchall():
            admin.execute(f"rollback prepared '{name}'")  # type: ignore[arg-type]


@pytest.fixture
def exact(mirror: HandKept) -> Iterator[Callable[[], None]]:
    """Whether the mirror answers exactly now: by the shop's calendar, and by another."""
    comparison = Comparison(mirror)

    def exact() -> None:
        for project in (SHOP, Project(SHOP.id, SHOP.name, "Asia/Kolkata")):
            comparison.check(project, WINDOW.questions(project))

    yield exact
    comparison.close()


_ids = itertools.count(1)


def event_id(number: int) -> UUID:
    return UUID(int=number)


def insert(
    connection: psycopg.Connection[Any],
    number: int | None = None,
    user: str = "ann",
    at: datetime = AT,
    **other: Any,
) -> int:
    """Write one event of the shop, under this number or a new one."""
    number = next(_ids) if number is None else number
    row = (other.get("project", SHOP.id), event_id(number), at, user, other.get("kind", "look"))
    connection.execute(
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " values (%s, %s, %s, %s, %s)",
        row,
    )
    return number


def delete(connection: psycopg.Connection[Any], number: int) -> None:
    done = connection.execute("delete from events where event_id = %s", [event_id(number)])
    assert done.rowcount == 1


def superuser(mirror: HandKept) -> psycopg.Connection[Any]:
    """A connection in autocommit that may do anything."""
    return psycopg.connect(mirror.database.admin, autocommit=True)


def cause_of_giving_up(mirror: HandKept) -> str:
    """Why the mirror refuses the next question; it is given up and built anew afterwards."""
    with pytest.raises(MirrorBroken) as caught:
        mirror.engine.answer(WINDOW.questions(SHOP)[0])
    with pytest.raises(MirrorUnavailable):
        mirror.store()
    mirror.open_or_build()
    return caught.value.cause
