"""ClickHouse as a reference from outside: the same rows in a MergeTree table, by chdb.

It runs in a process of its own, which this module's functions are called in. ClickHouse reads the
raw table for every question; nobody has made roll-ups for it. What it gets for its speed:

- the order that suits all questions, (project, day, event type, user), in one merged part;
- users as dense 32-bit numbers, as the mirror has them. With the text that Postgres holds, DAU and
  retention take three to five times as long;
- the day in UTC as a column. In another zone it has to be made from the instant, as in the mirror;
- of the ways to ask that were tried, the fastest: uniqExact (count over distinct pairs takes twice
  as long), and a user's weeks as bits of one number (groupUniqArray takes twice as long).
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from datetime import date, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from analytics.calendar import first_day_of_week
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents

THREADS: Final = 2
# Bit 0 stands for all time before the first week; the highest is the sign's.
MOST_WEEKS: Final = 62

_TABLE: Final = """
create table events (
    project_id UInt32, day Date, event_type LowCardinality(String), user UInt32,
    occurred_at DateTime64(6, 'UTC'), event_id UUID
) engine = MergeTree order by (project_id, day, event_type, user)"""
_FILL: Final = """
insert into events
select 1, toDate(occurred_at, 'UTC'), event_type, toUInt32(substring(user_id, 6)), occurred_at,
    reinterpretAsUUID(event_id)
from file('{path}', Parquet)"""
_DAU: Final = """
select {day} - toDate('{first}') as number, uniqExact(user)
from events where project_id = {project_id} and {within} group by number order by number"""
_TOP: Final = """
select event_type, count() as events
from events where project_id = {project_id} and {within}
group by event_type order by events desc, event_type limit {limit}"""
_RETENTION: Final = """
with users as (
    select groupBitOr(bitShiftLeft(toUInt64(1),
        toUInt8(intDiv(greatest({day} - toDate('{first}') + 7, 0), 7)))) as weeks
    from events where project_id = {project_id} and {before} group by user
),
patterns as (select weeks, count() as users from users group by weeks),
cohorts as (
    select weeks, users, toUInt8(bitCount(bitXor(weeks, weeks - 1)) - 1) as cohort from patterns
)
select cohort - 1, week - cohort, sum(users)
from (
    select weeks, users, cohort, arrayJoin(range(cohort, cohort + {window})) as week from cohorts
    where cohort > 0
)
where bitTest(weeks, week) group by cohort, week order by cohort, week"""

_open: dict[str, Any] = {}


def installed() -> bool:
    """Whether the package chdb is there (the extra `bench`)."""
    return find_spec("chdb") is not None


def open_table(folder: Path, parquet: Path) -> None:
    """Fill a table from the file, in this process."""
    # An extra, which needn't be there: types are none either way.
    session = _open["session"] = import_module("chdb.session").Session(str(folder))
    session.query("create database benchmark")
    session.query("use benchmark")
    session.query(f"set max_threads = {THREADS}")
    session.query(_TABLE)
    session.query(_FILL.format(path=parquet))
    session.query("optimize table events final")


def version() -> str:
    """ClickHouse's own."""
    return str(_run("select version()")[0][0])


def table_bytes() -> int:
    """What the table takes on disk."""
    sql = "select sum(bytes_on_disk) from system.parts where active and database = 'benchmark'"
    return int(_run(sql)[0][0])


def answer(question: Question[Any]) -> tuple[tuple[Any, ...], float]:
    """The question's rows, and the milliseconds from question to rows."""
    started = time.perf_counter()
    found = _run(_statement(question))
    rows = question.rows(found)
    return rows, (time.perf_counter() - started) * 1000


def _statement(question: Question[Any]) -> str:
    match question:
        case Dau(project, days):
            return _DAU.format(
                project_id=project.id, first=days.first, **_in_zone(project.timezone, days)
            )
        case TopEvents(project, days, limit):
            return _TOP.format(
                project_id=project.id, limit=limit, **_in_zone(project.timezone, days)
            )
        case Retention(project, _, today, window):
            last = first_day_of_week(today, project.week_start) + timedelta(days=6)
            weeks = DayRange(question.first_cohort, last)
            assert len(weeks) // 7 + window <= MOST_WEEKS
            return _RETENTION.format(
                project_id=project.id,
                first=question.first_cohort,
                window=window,
                **_in_zone(project.timezone, weeks),
            )
    raise NotImplementedError(question.name)


def _in_zone(zone: str, days: DayRange) -> dict[str, str]:
    """An event's local day, and whether it lies in the range or before its end."""
    if zone == "UTC":
        return {
            "day": "day",
            "within": f"day between '{days.first}' and '{days.last}'",
            "before": f"day <= '{days.last}'",
        }
    before = f"occurred_at < {_midnight(days.last + timedelta(days=1), zone)}"
    return {
        "day": f"toDate(occurred_at, '{zone}')",
        "within": f"occurred_at >= {_midnight(days.first, zone)} and {before}",
        "before": before,
    }


def _midnight(day: date, zone: str) -> str:
    return f"toDateTime64('{day} 00:00:00', 6, '{zone}')"


def _run(sql: str) -> Sequence[Sequence[Any]]:
    content = _open["session"].query(sql, "CSV").bytes().decode()
    return [[_number(cell) for cell in row] for row in csv.reader(io.StringIO(content))]


def _number(cell: str) -> int | str:
    return int(cell) if cell.lstrip("-").isdigit() else cell
