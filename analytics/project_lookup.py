"""Projects as the database knows them, for a library: found by name, or because there is one."""

from __future__ import annotations

from typing import Final

import psycopg

from analytics.calendar import WeekStart
from analytics.conninfo import connection_parameters, place
from analytics.errors import InvalidInput, UnknownProject, Unreachable
from analytics.events import ProjectId
from analytics.project import Project

APPLICATION: Final = "tidemark library"

_PROJECTS: Final = """/* tidemark library projects */
select id, name, timezone, week_start from projects order by id"""
_SHOWN: Final = 10


def find_project(url: str, name: str | None) -> Project:
    """The project of this name, or, without a name, the only one there is.

    Raises:
        UnknownProject: there is none of this name, none at all, or several without a name.
        Unreachable: Postgres doesn't answer, doesn't let us in, or holds no Tidemark.
        InvalidInput: the URL is none.
    """
    rows = _projects(url)
    found = [row for row in rows if name is None or row[1] == name]
    if len(found) == 1:
        return Project(*found[0])
    listed = ", ".join(repr(row[1]) for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    if not rows:
        raise UnknownProject(
            "there is no project here yet; `tidemark project create NAME` makes one",
            field="project",
        )
    asked = "no project was named" if name is None else f"there is no project {name!r}"
    raise UnknownProject(f"{asked}; name one of {listed}{more}", field="project")


def _projects(url: str) -> list[tuple[ProjectId, str, str, WeekStart]]:
    try:
        parameters = connection_parameters(url, APPLICATION)
        with psycopg.connect(**parameters, autocommit=True) as connection:  # type: ignore[arg-type]
            return connection.execute(_PROJECTS).fetchall()
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:
            raise InvalidInput(
                "the URL is no Postgres URL; write it like postgresql://user:password@host/database",
                field="url",
            ) from error
        raise Unreachable(
            f"the database at {place(url)} can't be asked for its projects ({_gist(error)}); "
            "`tidemark migrate` brings the schema, and the role must be allowed to read it"
        ) from error
    except psycopg.OperationalError as error:
        raise Unreachable(
            f"Postgres at {place(url)} doesn't let us in: {_gist(error)}; see that it runs, and "
            "that user and password are right"
        ) from error


def _gist(error: Exception) -> str:
    """What the server said, or the way to it, without the addresses tried."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rpartition("failed: ")[2] if lines else type(error).__name__
