"""The calendar that each project's roll-ups were made with, and the one they should have."""

from __future__ import annotations

from typing import Final, NamedTuple

from analytics.calendar import TZDATA_VERSION, WeekStart, zone
from analytics.duck import written
from analytics.errors import UnknownZone
from analytics.mirror.columns import Connection
from analytics.mirror.store import Cursor
from analytics.project import Project

_KNOWN: Final = """/* tidemark mirror calendars */
select project_id, timezone, week_start, tzdata from calendars"""
_WANTED: Final = "/* tidemark mirror calendars */ select id, timezone, week_start from projects"
_CLEAR: Final = (
    "/* tidemark mirror calendar */ delete from calendars where project_id = $project_id"
)
_WRITE: Final = """/* tidemark mirror calendar */
insert into calendars values ($project_id, $timezone, $week_start, $tzdata, $changed_at)"""


class Calendar(NamedTuple):
    """Which days and weeks roll-ups are by: zone, first weekday, version of the zones' data."""

    timezone: str
    week_start: str
    tzdata: str = TZDATA_VERSION


# Of projects that have events but no row, or a row with a zone that nobody knows.
DEFAULT: Final = Calendar("UTC", WeekStart.MONDAY.value)


def of_project(project: Project) -> Calendar:
    """The calendar that questions about the project are asked by."""
    return Calendar(project.timezone, project.week_start.value)


def known(cursor: Cursor) -> dict[int, Calendar]:
    """The calendars in the file, by project."""
    rows = cursor.execute(_KNOWN).fetchall()
    return {project_id: Calendar(*calendar) for project_id, *calendar in rows}


def wanted(connection: Connection) -> dict[int, Calendar]:
    """The calendars that the projects have in Postgres."""
    rows = connection.execute(_WANTED).fetchall()
    return {
        project_id: Calendar(timezone, week_start)
        for project_id, timezone, week_start in rows
        if _is_zone(timezone)
    }


def write(cursor: Cursor, project_id: int, calendar: Calendar, changed_at: int) -> None:
    """Note the calendar of a project, and the tidemark of its latest change."""
    values = {"project_id": project_id, "changed_at": changed_at, **calendar._asdict()}
    cursor.execute(written(_CLEAR, values))
    cursor.execute(written(_WRITE, values))


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except UnknownZone:
        return False
    return True
