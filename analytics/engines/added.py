"""What came and went above the tidemark, as each question takes it up.

A question of roll-ups gets it as a few more rows of its own, to be added up with those of the file.
To hand them to DuckDB instead, for the statement to add up, would take it three times as long as
the rest of the statement. Raw columns get the events themselves, as a table in front of one that is
empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pyarrow as pa

from analytics.engines.seen import Seen
from analytics.mirror import changes
from analytics.mirror.batch import Batch
from analytics.mirror.calendars import DEFAULT, of_project
from analytics.mirror.known import Rows
from analytics.mirror.lookup import Lookup
from analytics.mirror.store import Cursor
from analytics.project import Project
from analytics.questions.question import Question

_Given: TypeAlias = Mapping[str, Any]

_CHANGED: Final = "changed"
_OF_CHANGED: Final = ("occurred_at", "user_id", "event_type")


@dataclass(frozen=True, slots=True)
class _Changes:
    """How to find them for a question of roll-ups.

    Attributes:
        columns: of events that they are made of.
        find: for a batch of such events, with what the file says of their people.
        rows: of those found, as rows of the question's own statement, by its parameters.
    """

    columns: Sequence[str]
    find: Callable[[Lookup, Batch], pa.Table]
    rows: Callable[[pa.Table, _Given], Rows]


def _dau(found: pa.Table, given: _Given) -> Rows:
    day, last = found["period"].to_numpy() - given["first_day"], given["last_day"]
    asked = (day >= 0) & (day <= last - given["first_day"])
    return _rows(day[asked], found["users"].to_numpy()[asked])


def _retention(found: pa.Table, given: _Given) -> Rows:
    cohort, period, users = (found[name].to_numpy() for name in ("cohort", "period", "users"))
    week = (period - cohort) // 7
    asked = (cohort >= given["first_day"]) & (period < given["end_day"]) & (week < given["window"])
    return _rows((cohort[asked] - given["first_day"]) // 7, week[asked], users[asked])


def _top_events(found: pa.Table, given: _Given) -> Rows:
    day = found["day"].to_numpy()
    asked = pa.array((day >= given["first_day"]) & (day <= given["last_day"]))
    kept = found.filter(asked)
    return list(zip(kept["event_type"].to_pylist(), kept["events"].to_pylist(), strict=True))


def _rows(*columns: Any) -> Rows:
    return list(zip(*(column.tolist() for column in columns), strict=True))


# By the name of the question.
_CHANGES: Final[Mapping[str, _Changes]] = {
    "dau": _Changes(
        ("occurred_at", "user_id"),
        lambda lookup, batch: changes.find_active_changes(
            lookup.days, batch, lookup.keys(batch.people), ["day"]
        ),
        _dau,
    ),
    "retention": _Changes(
        ("occurred_at", "user_id"),
        lambda lookup, batch: changes.find_cohort_changes(
            lookup.days, batch, lookup.keys(batch.people), ["week"]
        ),
        _retention,
    ),
    "top_events": _Changes(
        ("occurred_at", "event_type"),
        lambda _, batch: changes.find_type_changes(batch),
        _top_events,
    ),
}


def added_rows(cursor: Cursor, seen: Seen, question: Question[Any]) -> Rows:
    """What lies above the tidemark, as rows like those of the question's statement of roll-ups.

    Raises:
        MirrorBroken: the roll-ups say less than what was removed.
        psycopg.Error: what Postgres says.
    """
    how = _CHANGES[question.name]
    if question.name not in seen.found:
        batch = _batch(seen, question.project, how.columns)
        seen.found[question.name] = how.find(seen.lookup(cursor), batch)
    return how.rows(seen.found[question.name], question.parameters())


def register_changed(cursor: Cursor, seen: Seen, project: Project) -> None:
    """Put the events above the tidemark before the empty table `changed`, for raw columns.

    Raises:
        psycopg.Error: what Postgres says.
    """
    if _CHANGED not in seen.found:
        batch = _batch(seen, project, _OF_CHANGED)
        known = seen.lookup(cursor).keys(batch.people)
        seen.found[_CHANGED] = changes.find_changed(batch, known)
    cursor.register(_CHANGED, seen.found[_CHANGED])


def columns_to_read(seen: Seen, question: Question[Any]) -> Sequence[str]:
    """The columns that the question needs of events above the tidemark, if there are any.

    None where it may need none: what was found for it before is good while the numbers of what lies
    above are the same.
    """
    by_rollups = seen.calendar == of_project(question.project)
    if (question.name if by_rollups else _CHANGED) in seen.found:
        return ()
    return _CHANGES[question.name].columns if by_rollups else _OF_CHANGED


def _batch(seen: Seen, project: Project, columns: Sequence[str]) -> Batch:
    assert seen.look is not None  # noqa: S101 - the caller has looked
    calendars = {int(project.id): seen.calendar or DEFAULT}
    return Batch.of(seen.look.added(columns), seen.look.removed(columns), calendars)
