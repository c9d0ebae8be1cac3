"""Projects: the unit that events, keys and members belong to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart, zone
from analytics.errors import Terminal, UnknownProject
from analytics.events import ProjectId
from analytics.project import Project
from app.database.tables import projects

MAX_NAME_CHARACTERS = 100
COLUMNS = (projects.c.id, projects.c.name, projects.c.timezone, projects.c.week_start)


class ProjectExists(Terminal):
    """A project of this name exists already; choose another name."""

    code = "project_exists"


class InvalidProject(Terminal):
    """The project can't be made as described."""

    code = "invalid_project"


async def create(
    connection: AsyncConnection, name: str, timezone: str, week_start: WeekStart
) -> Project:
    """Makes a project. Its days and weeks are those of `timezone`, an IANA name.

    Raises:
        InvalidProject: The name is empty or longer than 100 characters.
        ProjectExists: The name is taken.
        UnknownZone: No such time zone.
    """
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or "\0" in name:
        raise InvalidProject(
            f"A project's name has 1 to {MAX_NAME_CHARACTERS} characters and no NUL; "
            f"this one has {len(name)}.",
            field="name",
        )
    zone(timezone)
    values = {"name": name, "timezone": timezone, "week_start": week_start.value}
    try:
        async with connection.begin_nested():
            row = (
                await connection.execute(insert(projects).values(values).returning(*COLUMNS))
            ).one()
    except IntegrityError as error:
        raise ProjectExists(
            f"There is a project {name!r} already; choose another name.", field="name"
        ) from error
    return project_of(row)


async def exists(connection: AsyncConnection, name: str) -> bool:
    """Whether a project is called `name`."""
    return (
        await connection.execute(select(projects.c.id).where(projects.c.name == name))
    ).first() is not None


async def by_name(connection: AsyncConnection, name: str) -> Project:
    """The project called `name`.

    Raises:
        UnknownProject: There is none; the message lists up to ten that exist.
    """
    row = (await connection.execute(select(*COLUMNS).where(projects.c.name == name))).one_or_none()
    if row is not None:
        return project_of(row)
    known = (
        (await connection.execute(select(projects.c.name).order_by(projects.c.id).limit(10)))
        .scalars()
        .all()
    )
    there_are = f"Known: {', '.join(known)}." if known else "There is none yet."
    raise UnknownProject(
        f"No project {name!r}. {there_are} `tidemark project create NAME` makes one.",
        field="project",
    )


def project_of(row: Row[*tuple[Any, ...]]) -> Project:
    """A row of COLUMNS as the value that questions carry."""
    return Project(ProjectId(row.id), row.name, row.timezone, WeekStart(row.week_start))
