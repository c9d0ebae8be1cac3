"""The invariant, checked: the mirror minus later removals is exactly what Postgres has below it.

Both sides are summed up by DuckDB, per project and local day, as a number of events and the sum of
their hashes; so a difference is found and shown where it is. The roll-ups are compared with what
the file's own events give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import pyarrow as pa

from analytics.calendar import day_of_number
from analytics.mirror import calendars
from analytics.mirror.batch import with_days
from analytics.mirror.calendars import DEFAULT, Calendar
from analytics.mirror.columns import Connection, read
from analytics.mirror.history import snapshot
from analytics.mirror.state import State, check
from analytics.mirror.store import Cursor, Store
from analytics.mirror.sync import TIMEOUT, page_ranges
from analytics.sessions import Sessions
from analytics.sql import statement

ROLLUPS: Final = ("user_days", "active_counts", "cohort_counts", "type_counts", "first_days")
_EVENTS: Final = "select coalesce(sum(events), 0) from sums where side = 'postgres'"
LONGEST: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Difference:
    """A project's local day on which the two sides differ.

    `day` is None where it lies outside of the years 1 to 9999. Equal numbers mean that other events
    are there than should be.
    """

    project_id: int
    day: date | None
    mirror: int
    postgres: int


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check found.

    Attributes:
        horizon: the tidemark below which was compared.
        events: how many events Postgres has below it.
        differences: by project and day; empty if the sides are equal.
        wrong_rollups: names of roll-ups that don't follow from the file's events.
    """

    horizon: int
    events: int
    differences: tuple[Difference, ...]
    wrong_rollups: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it must be."""
        return not self.differences and not self.wrong_rollups


Told = Callable[[int, int], None]


def verify(store: Store, sessions: Sessions, told: Told) -> Verified:
    """Compare the whole mirror with Postgres; `told` hears of ranges of pages, read and in all.

    The caller sees to it that no sync runs meanwhile.

    Raises:
        HistoryBroken: the mirror belongs to another Postgres.
        MirrorBroken, MirrorUnavailable: the file can't be read.
        psycopg.Error: what Postgres says.
    """
    with store.reading(LONGEST) as (cursor, state):
        cursor.execute(statement("sync", "verify_begin"))
        by_project = calendars.known(cursor)
        with snapshot(sessions, state.mirror_id, TIMEOUT) as (connection, facts, _):
            check(facts, state)
            _sum_up(cursor, connection, state, by_project, told)
        rows = cursor.execute(statement("sync", "verify_differences")).fetchall()
        events = _number(cursor, _EVENTS)
        wrong = tuple(name for name in ROLLUPS if _is_wrong(cursor, name))
    differences = tuple(
        Difference(project_id, _day(number), mirror, postgres)
        for project_id, number, mirror, postgres in rows
    )
    return Verified(state.horizon, events, differences, wrong)


def _sum_up(
    cursor: Cursor,
    connection: Connection,
    state: State,
    by_project: dict[int, Calendar],
    told: Told,
) -> None:
    below = {"since": 0, "before": state.horizon}
    ranges = page_ranges(connection)
    for number, pages in enumerate(ranges, 1):
        part = read(connection, "events_by_page", {**below, **pages})
        _add(cursor, part, by_project, "postgres", 1)
        told(number, len(ranges))
    later = {"removed_since": state.horizon, "removed_before": 2**63 - 1}
    # What was removed since is still in the mirror, and has to be set off.
    _add(cursor, read(connection, "removed", {**below, **later}), by_project, "mirror", -1)


def _add(
    cursor: Cursor, part: pa.Table, by_project: dict[int, Calendar], side: str, sign: int
) -> None:
    projects = part["project_id"].unique().to_pylist()
    zones = {each: by_project.get(each, DEFAULT).timezone for each in projects}
    cursor.register("part", with_days(part, zones))
    cursor.execute(statement("sync", "verify_part"), {"side": side, "sign": sign})
    cursor.unregister("part")


def _is_wrong(cursor: Cursor, rollup: str) -> bool:
    return _number(cursor, statement("sync", f"verify_{rollup}")) > 0


def _number(cursor: Cursor, sql: str) -> int:
    row: tuple[Any, ...] | None = cursor.execute(sql).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups has one row
    return int(row[0])


def _day(number: int) -> date | None:
    try:
        return day_of_number(number)
    except (ValueError, OverflowError):
        return None
