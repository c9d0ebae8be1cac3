"""Every count of a project computed afresh from its events: after a build, or by a new calendar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from analytics.mirror.local_days import day_starts
from analytics.mirror.store import Cursor
from analytics.sql import statement

_CLEARED: Final = (
    "user_days",
    "recent_user_days",
    "cohort_counts",
    "active_counts",
    "type_counts",
)
_STEPS: Final = ("user_days", "first_days", "cohort_counts", "active_counts", "type_counts")
_YEARS: Final = """/* tidemark mirror years */
select distinct year(occurred_at) from events where project_id = $project_id"""


def rebuild(cursor: Cursor, project_ids: Iterable[int]) -> None:
    """Compute all roll-ups of these projects from `events`, by their calendars in the file."""
    # Written out: to join with a table of them DuckDB would hash the events.
    projects = f"({', '.join(f'{each:d}' for each in project_ids) or 'null'})"
    for table in _CLEARED:
        cursor.execute(f"delete from {table} where project_id in {projects}")  # noqa: S608 - numbers
    for step in _STEPS:
        cursor.execute(statement("sync", f"rollup_{step}").replace("{projects}", projects))


def move_to_zone(cursor: Cursor, project_id: int, timezone: str) -> None:
    """Give every event of the project its local day in another zone, in one new sorted run."""
    years = [year for (year,) in cursor.execute(_YEARS, {"project_id": project_id}).fetchall()]
    cursor.register("day_starts", pa.table(day_starts(timezone, years), names=["us", "day"]))
    cursor.execute(statement("sync", "move_events"), {"project_id": project_id})
    cursor.unregister("day_starts")
    cursor.execute("delete from events where project_id = ?", [project_id])
    cursor.execute("insert into events from moved order by project_id, day, type_key, user_key")
    cursor.execute("drop table moved")
