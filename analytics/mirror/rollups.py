"""Every count of a project computed afresh from its events: after a build, or by a new calendar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from analytics.mirror.local_days import local_days
from analytics.mirror.store import Cursor
from analytics.sql import statement

_CLEAR: Final = (
    "delete from user_days using stale where user_days.project_id = stale.project_id",
    "delete from cohort_counts using stale where cohort_counts.project_id = stale.project_id",
    "delete from active_counts using stale where active_counts.project_id = stale.project_id",
    "delete from type_counts using stale where type_counts.project_id = stale.project_id",
)
_STEPS: Final = ("user_days", "first_days", "cohort_counts", "active_counts", "type_counts")
_ROWS_AT_ONCE: Final = 1_000_000
_INSTANTS: Final = """/* tidemark mirror instants */
select rowid as row, epoch_us(occurred_at) as us from events
where project_id = $project_id and rowid >= $first and rowid < $end"""


def rebuild(cursor: Cursor, project_ids: Iterable[int]) -> None:
    """Compute all roll-ups of these projects from `events`, by their calendars in the file."""
    stale = pa.table({"project_id": pa.array(list(project_ids), pa.int32())})
    cursor.register("stale", stale)
    for clear in _CLEAR:
        cursor.execute(clear)
    for step in _STEPS:
        cursor.execute(statement("sync", f"rollup_{step}"))
    cursor.unregister("stale")


def move_to_zone(cursor: Cursor, project_id: int, timezone: str) -> None:
    """Give every event of the project its local day in another zone, in one new sorted run."""
    row = cursor.execute("select coalesce(max(rowid), -1) from events").fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups has one row
    cursor.execute("create temporary table moved as select * from events limit 0")
    for first in range(0, row[0] + 1, _ROWS_AT_ONCE):
        part = {"project_id": project_id, "first": first, "end": first + _ROWS_AT_ONCE}
        found = cursor.execute(_INSTANTS, part).to_arrow_table()
        days = local_days(timezone, found["us"].to_numpy())
        cursor.register("moves", found.append_column("day", pa.array(days.astype(np.int32))))
        cursor.execute(statement("sync", "move_events"), part)
        cursor.unregister("moves")
    cursor.execute("delete from events where project_id = ?", [project_id])
    cursor.execute("insert into events from moved order by project_id, day, type_key, user_key")
    cursor.execute("drop table moved")
