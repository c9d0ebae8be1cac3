"""Projects: the unit that events, keys and members belong to."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Insert, Row, Update, insert, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart, zone
from analytics.errors import Terminal, UnknownProject
from analytics.events import ProjectId
from analytics.project import Project
from app.database.looks import Found, Looks
from app.database.tables import api_keys, invitations, members, projects

MAX_NAME_CHARACTERS = 100
COLUMNS = (projects.c.id, projects.c.name, projects.c.timezone, projects.c.week_start)

FIRST_TWO: Final = """/* tidemark first projects */
select id, name, timezone, week_start from projects
where $1::int is null or id = $1
order by id
limit 2"""


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
    _check_name(name)
    zone(timezone)
    values = {"name": name, "timezone": timezone, "week_start": week_start.value}
    statement = insert(projects).values(values).returning(*COLUMNS)
    return await _named_once(connection, statement, name)


async def change(
    connection: AsyncConnection,
    project: Project,
    *,
    name: str | None = None,
    timezone: str | None = None,
    week_start: WeekStart | None = None,
) -> Project:
    """Renames a project, or has its days and weeks counted otherwise; None changes nothing.

    Raises:
        InvalidProject, ProjectExists, UnknownZone: See `create`.
        UnknownProject: It has been deleted meanwhile.
    """
    values = {
        "name": name if name is not None else project.name,
        "timezone": timezone if timezone is not None else project.timezone,
        "week_start": (week_start or project.week_start).value,
    }
    _check_name(values["name"])
    zone(values["timezone"])
    statement = (
        update(projects).where(projects.c.id == project.id).values(values).returning(*COLUMNS)
    )
    return await _named_once(connection, statement, values["name"])


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


async def first_two(looks: Looks, project_id: ProjectId | None) -> list[Project]:
    """The project with this id, or if none is named, the first two that there are."""
    return [project_of(row) for row in await looks.rows(FIRST_TWO, project_id)]


async def all_with_period(connection: AsyncConnection) -> list[tuple[Project, int | None]]:
    """Every project by name, and for how many days it keeps events, None for all."""
    statement = select(*COLUMNS, projects.c.storage_days).order_by(projects.c.name)
    return [(project_of(row), row.storage_days) for row in await connection.execute(statement)]


async def close(connection: AsyncConnection, project_id: ProjectId) -> None:
    """Takes every key, member and invitation from a project, so that nobody gets in any more."""
    for table in (api_keys, members, invitations):
        await connection.execute(delete_from(table).where(table.c.project_id == project_id))


async def delete(connection: AsyncConnection, project_id: ProjectId) -> None:
    """Deletes a project whose events are gone; what senders under way leave, `expire` removes."""
    await connection.execute(delete_from(projects).where(projects.c.id == project_id))


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or "\0" in name:
        raise InvalidProject(
            f"A project's name has 1 to {MAX_NAME_CHARACTERS} characters and no NUL; "
            f"this one has {len(name)}.",
            field="name",
        )


async def _named_once(
    connection: AsyncConnection, statement: Insert | Update, name: str
) -> Project:
    """The row that a statement writes. Names are unique: the command line goes by them."""
    try:
        async with connection.begin_nested():
            row = (await connection.execute(statement)).one_or_none()
    except IntegrityError as error:
        raise ProjectExists(
            f"There is a project {name!r} already; choose another name.", field="name"
        ) from error
    if row is None:
        raise UnknownProject
    return project_of(row)


def project_of(row: Row[*tuple[Any, ...]] | Found) -> Project:
    """A row of COLUMNS as the value that questions carry."""
    return Project(ProjectId(row.id), row.name, row.timezone, WeekStart(row.week_start))
