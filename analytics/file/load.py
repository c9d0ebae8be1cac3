"""The rows of a source as events and roll-ups, laid out as a mirror's: the same SQL answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import duckdb
import numpy as np

from analytics.calendar import (
    FIRST_DAY,
    LAST_DAY,
    Offset,
    day_number,
    day_of_number,
    offsets,
    offsets_of_local_times,
)
from analytics.errors import InvalidInput
from analytics.events import FIRST_INSTANT, LAST_INSTANT, MAX_TEXT_CHARACTERS
from analytics.file.columns import Columns, columns
from analytics.file.reading import OnReject, Reading
from analytics.file.source import Source, unreadable
from analytics.mirror import calendars, rollups
from analytics.mirror.layout import LAYOUT
from analytics.project import Project
from analytics.sql import statement
from analytics.sql.local_time import offset_us

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AROUND: Final = timedelta(days=2)
_SHOWN_FAULTS: Final = 3

# Earlier than the local day of any instant that an event may have.
_BEFORE_ALL: Final = day_number(FIRST_INSTANT.date()) - 2

_LIMITS: Final = {
    "most": str(MAX_TEXT_CHARACTERS),
    "first_us": str((FIRST_INSTANT - _EPOCH) // timedelta(microseconds=1)),
    "last_us": str((LAST_INSTANT - _EPOCH) // timedelta(microseconds=1)),
}
# Nobody asks for the ids, so an event takes 20 bytes. The project's number is no column at all.
_EVENTS: Final = """
drop table events;
create view events as
select {project_id}::integer as project_id, day, type_key, user_key, occurred_at from kept
"""
_DICTIONARIES: Final = {"users": "delete from users", "event_types": "delete from event_types"}
_YEARS: Final = "select distinct year(make_timestamp(us)) from staged where is_local = {local}"
_SHIFT: Final = "update staged set us = us - {offset_us}, is_local = false where is_local"
_FIRST_OF_ID: Final = "row in (select min(row) from good group by event_id)"
_SPAN: Final = "select min(day), max(day) from type_counts"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of the rows of a source: each is an event, a duplicate or rejected.

    Attributes:
        rows: how many there were.
        events: how many are counted.
        duplicates: how many had the id of an earlier row.
        rejected: how many are no events, which only on_reject="skip" lets pass.
        first, last: local days of the earliest and the latest event, or the nearest ones that can
            be asked about; None without events.
    """

    rows: int
    events: int
    duplicates: int
    rejected: int
    first: date | None
    last: date | None


def load(
    database: duckdb.DuckDBPyConnection, source: Source, project: Project, reading: Reading
) -> Loaded:
    """Read all rows of the source into the database, which holds nothing yet.

    Raises:
        InvalidInput: it can't be read, lacks a column, or has rows that are no events.
    """
    database.execute(LAYOUT)
    found = columns(source.define(database), reading)
    try:
        rows = _stage(database, found, reading)
    except duckdb.Error as error:
        raise unreadable(error, source.name) from error
    rejected, duplicates = _sort_out(database, found, reading, source)
    _keep(database, project)
    first, last = database.execute(_SPAN).fetchall()[0]
    return Loaded(
        rows=rows,
        events=rows - rejected - duplicates,
        duplicates=duplicates,
        rejected=rejected,
        first=_askable(first),
        last=_askable(last),
    )


def _askable(number: int | None) -> date | None:
    if number is None:
        return None
    return day_of_number(min(max(number, day_number(FIRST_DAY)), day_number(LAST_DAY)))


def _stage(database: duckdb.DuckDBPyConnection, found: Columns, reading: Reading) -> int:
    """Staged rows and dictionaries of all that the source says, good or bad; how many rows."""
    # Hashes tell most files to be free of duplicates, in a third of the memory of ids.
    identity = f"case when {found.event_id} is not null then hash({found.event_id}) end"
    _run(database, "stage", _staged(found, identity if found.event_id else "null"))
    if reading.assume_timezone is not None:
        _shift(database, reading.assume_timezone)
    _fill_dictionaries(database)
    return int(database.execute("select count(*) from staged").fetchall()[0][0])


def _staged(found: Columns, event_id: str) -> dict[str, str]:
    return {
        "event_id": event_id,
        "us": found.us,
        "is_local": found.is_local,
        "user_id": found.user_id,
        "event_type": found.event_type,
    }


def _fill_dictionaries(database: duckdb.DuckDBPyConnection) -> None:
    for table, clear in _DICTIONARIES.items():
        database.execute(clear)
        _run(database, table, {})


def _shift(database: duckdb.DuckDBPyConnection, zone: str) -> None:
    """Times without a zone as instants, by the clocks of this zone."""
    known = [
        each
        for year in _years(database, local=True)
        for each in offsets_of_local_times(zone, *_days_around(year))
    ]
    if known:
        database.execute(_SHIFT.replace("{offset_us}", _expression(known)))


def _sort_out(
    database: duckdb.DuckDBPyConnection, found: Columns, reading: Reading, source: Source
) -> tuple[int, int]:
    """Leave only events staged, each once; how many rows were rejected, and how many repeated."""
    needs_id = found.event_id is not None
    names = {**_LIMITS, "needs_id": str(needs_id), "takes_local": "false"}
    rows, with_moment, local, with_id = _run(database, "overview", _LIMITS)[0]
    [(bad,)] = _run(database, "bad_texts", _LIMITS)
    rejected = 0
    if bad or local or with_moment < rows or (needs_id and with_id < rows):
        faults = _run(database, "faults", names)
        if reading.on_reject == OnReject.ABORT:
            raise _rejected(faults, rows, source.name)
        rejected = sum(count for _, count, _ in faults)
    repeated = needs_id and _has_repeated(database)
    if not (rejected or repeated):
        return 0, 0
    if repeated:
        local_zone = reading.assume_timezone
        _run(database, "stage", _staged(found, str(found.event_id)))
        if local_zone is not None:
            _shift(database, local_zone)
    _run(database, "good", {**names, "once": _FIRST_OF_ID if repeated else "true"})
    _fill_dictionaries(database)
    [(left,)] = database.execute("select count(*) from staged").fetchall()
    return rejected, rows - rejected - left


def _has_repeated(database: duckdb.DuckDBPyConnection) -> bool:
    """Whether two ids are equal, or, by a rare chance, their hashes only."""
    # Sorting numbers takes an eighth of what counting distinct ones does.
    hashes = database.execute("select event_id from staged where event_id is not null").fetchnumpy()
    ordered = np.sort(np.asarray(hashes["event_id"]))
    return bool((ordered[1:] == ordered[:-1]).any())


def _rejected(faults: Sequence[Sequence[Any]], rows: int, name: str) -> InvalidInput:
    told = "; ".join(
        f"{count:,} of {rows:,} rows, the first row {first:,} (from 0): {fault}"
        for fault, count, first in faults[:_SHOWN_FAULTS]
    )
    local = any("names no zone" in fault for fault, *_ in faults)
    advice = (
        "say which it is, like assume_timezone='UTC'"
        if local
        else "mend them, or leave them out by on_reject='skip'"
    )
    field = str(faults[0][0]).partition(":")[0]
    return InvalidInput(f"{name} has rows that are no events: {told}; {advice}", field=field)


def _keep(database: duckdb.DuckDBPyConnection, project: Project) -> None:
    """Events by their keys and local days, and every count of them."""
    years = _years(database, local=False)
    known = [each for year in years for each in offsets(project.timezone, *_days_around(year))]
    expression = _expression(known or [Offset(0, 0)])
    _run(database, "events", {"offset_us": expression, "first_day": str(_BEFORE_ALL)})
    database.execute("drop table staged")
    database.execute("update users set project_id = ?", [project.id])
    database.execute(_EVENTS.replace("{project_id}", f"{project.id:d}"))
    calendars.write(database, project.id, calendars.of_project(project), 0)
    rollups.rebuild(database, [project.id])


def _years(database: duckdb.DuckDBPyConnection, *, local: bool) -> list[int]:
    """The UTC years of staged instants; a file with one event far off doesn't name all between."""
    found = database.execute(_YEARS.replace("{local}", str(local))).fetchall()
    return sorted(year for (year,) in found if year is not None)


def _days_around(year: int) -> tuple[date, date]:
    inside = min(max(year, FIRST_DAY.year + 1), LAST_DAY.year - 1)
    return date(inside, 1, 1) - _AROUND, date(inside, 12, 31) + _AROUND


def _expression(known: Sequence[Offset]) -> str:
    ordered = sorted(set(known))
    return offset_us([each.begins_at for each in ordered], [each.seconds for each in ordered])


def _run(
    database: duckdb.DuckDBPyConnection, name: str, names: Mapping[str, str]
) -> list[tuple[Any, ...]]:
    sql = statement("file", name)
    for each, text in names.items():
        sql = sql.replace(f"{{{each}}}", text)
    return database.execute(sql).fetchall()
