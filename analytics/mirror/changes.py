"""What added and removed events do to the counts: one algorithm, for sync and question alike.

A batch holds events that came (sign 1) and events that went (sign -1). From it and the roll-ups of
the file follow the changes of every count, as temporary tables:

    keys           (person, project_id, user_key, first_day)               who they are in the file
    pairs          (project_id, user_key, first_day, day, events)          a user's days
    people         (project_id, user_key, first_day, moves, since)         how far to look back
    days           (project_id, user_key, first_day, day, before, after)   all that is looked at
    first_days     (project_id, user_key, before, after)                   which cohort
    active_changes (project_id, grain, period, users)                      numbers of users
    cohort_changes (project_id, grain, cohort, period, users)              numbers of users
    type_changes   (project_id, day, event_type, events)                   numbers of events
    changed        (project_id, user_key, event_type, us, sign)            the events, by keys

A question adds the last four to what the file says; the sync writes them into the file. So what a
question sees of the tail and what the next sync makes of it can't differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa

from analytics.duck import written
from analytics.mirror.errors import MirrorBroken
from analytics.mirror.local_days import local_days
from analytics.mirror.store import Cursor
from analytics.sql import statement

BATCH: Final = pa.schema(
    {
        "project_id": pa.int32(),
        "person": pa.int32(),
        "event_type": pa.string(),
        "us": pa.int64(),
        "day": pa.int32(),
        "sign": pa.int64(),
    }
)

GRAINS: Final = ("day", "week", "month")

# Written out, it lets DuckDB skip row groups; a subquery in its place would not.
_SINCE: Final = (
    "select coalesce(min(case when moves then -2147483648 else since end), 0) from people"
)
_IMPOSSIBLE: Final = "select count(*) from days where before < 0 or after < 0"


@contextmanager
def registered(
    cursor: Cursor, added: pa.Table, removed: pa.Table, zones: Mapping[int, str]
) -> Iterator[None]:
    """Events that came and that went, in any schema that holds `look.SEEN`, for the block's length.

    As the relations `batch`, in BATCH, and `names` (person integer, project_id integer, user_id
    varchar), its people by number. `zones` names the time zone of every project among them.
    """
    parts = [
        with_days(events, zones).append_column("sign", _constant(sign, len(events)))
        for events, sign in ((added, 1), (removed, -1))
    ]
    columns = ["project_id", "user_id", "event_type", "occurred_at", "day", "sign"]
    table = pa.concat_tables([part.select(columns) for part in parts]).combine_chunks()
    people, names = _numbered(table["project_id"], table["user_id"])
    instants = table["occurred_at"].cast(pa.int64())
    batch = table.append_column("person", people).append_column("us", instants)
    cursor.register("batch", batch.select(BATCH.names).cast(BATCH))
    cursor.register("names", names)
    try:
        yield
    finally:
        cursor.unregister("batch")
        cursor.unregister("names")


def _numbered(projects: pa.ChunkedArray, users: pa.ChunkedArray) -> tuple[pa.Array, pa.Table]:
    """A number for each row's project and user, from 0, and the table of these numbers."""
    encoded = users.combine_chunks().dictionary_encode()
    owners, codes = projects.to_numpy().astype(np.int64), encoded.indices.to_numpy()
    distinct = np.arange(len(encoded.dictionary), dtype=np.int64)
    if len(owners) and (owners == owners[0]).all():
        distinct |= owners[0] << 32
    else:
        distinct, codes = np.unique(owners << 32 | codes, return_inverse=True)
    names = {
        "person": pa.array(np.arange(len(distinct), dtype=np.int32)),
        "project_id": pa.array((distinct >> 32).astype(np.int32)),
        "user_id": encoded.dictionary.take(pa.array(distinct & 0xFFFFFFFF)),
    }
    return pa.array(codes.astype(np.int32)), pa.table(names)


def with_days(events: pa.Table, zones: Mapping[int, str]) -> pa.Table:
    """The events with a column `day`: the local day, as a number, in their project's zone."""
    projects = events["project_id"].to_numpy()
    us = events["occurred_at"].cast(pa.int64()).to_numpy()
    days = np.zeros(len(events), np.int64)
    for zone in {zones[int(project)] for project in np.unique(projects)}:
        of_zone = [project for project, name in zones.items() if name == zone]
        chosen = np.isin(projects, of_zone)
        days[chosen] = local_days(zone, us[chosen])
    return events.append_column("day", pa.array(days.astype(np.int32)))


def find_active_changes(cursor: Cursor, grains: Sequence[str]) -> None:
    """From what is `registered`: pairs, people, days and active_changes, for periods of `grains`.

    Raises:
        MirrorBroken: the roll-ups say less than what was removed.
    """
    _find_days(cursor, grains)
    _execute(cursor, "active_changes", grains=grains)


def find_cohort_changes(cursor: Cursor, grains: Sequence[str]) -> None:
    """From what is `registered`: pairs, people, days, first_days and cohort_changes.

    Raises:
        MirrorBroken: the roll-ups say less than what was removed.
    """
    _find_days(cursor, grains)
    _execute(cursor, "first_days")
    _execute(cursor, "cohort_changes", grains=grains)


def _find_days(cursor: Cursor, grains: Sequence[str]) -> None:
    _execute(cursor, "keys")
    _execute(cursor, "pairs")
    _execute(cursor, "people", grains=grains)
    since = cursor.execute(_SINCE).fetchone()
    assert since is not None  # noqa: S101 - an aggregate without groups has one row
    _execute(cursor, "days", since=since[0])
    if cursor.execute(_IMPOSSIBLE).fetchone() != (0,):
        raise MirrorBroken("more events were removed than the roll-ups hold", cause="mismatch")


def find_type_changes(cursor: Cursor) -> None:
    """From what is `registered`: type_changes."""
    _execute(cursor, "type_changes")


def find_changed(cursor: Cursor) -> None:
    """From what is `registered`: changed."""
    _execute(cursor, "keys")
    _execute(cursor, "changed")


def _execute(cursor: Cursor, name: str, **values: int | Sequence[str]) -> None:
    cursor.execute(written(statement("sync", name), values))


def _constant(value: int, rows: int) -> pa.Array:
    return pa.array(np.full(rows, value, np.int64))
