"""A new file from nothing: the whole table in one snapshot, range by range of its pages.

The file has no account of itself until all of it is there, so a build that is interrupted leaves
nothing that could be taken for a mirror.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from uuid import UUID, uuid4

import psycopg
import pyarrow as pa

from analytics.duck import DuckLimits
from analytics.mirror import calendars, lease, rollups, sync
from analytics.mirror.batch import Batch
from analytics.mirror.calendars import DEFAULT, Calendar
from analytics.mirror.columns import Connection, read
from analytics.mirror.dictionaries import enter_people
from analytics.mirror.history import snapshot
from analytics.mirror.lookup import find_people
from analytics.mirror.state import State
from analytics.mirror.store import Store, remove, write_state
from analytics.mirror.sync import TIMEOUT, page_ranges, removals_within, take_in
from analytics.sessions import Sessions

_LAST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: ranges of pages read, of how many, and rows so far."""

    ranges: int
    of: int
    rows: int


Told: TypeAlias = Callable[[Progress], None]


def build(path: Path, spill: Path, limits: DuckLimits, sessions: Sessions, told: Told) -> Store:
    """Build the mirror at `path`, which holds nothing, and open it; `told` hears of every range.

    An exception raised by `told` ends the build, and nothing is left of it.

    Raises:
        MirrorUnavailable: not now: the server is in recovery, disk or memory do not suffice.
        psycopg.Error: what Postgres says.
    """
    store = Store.create(path, spill, limits)
    mirror_id = uuid4()
    try:
        _fill(store, sessions, mirror_id, told)
        store.checkpoint()
    except BaseException:
        store.close()
        remove(path)
        with suppress(psycopg.Error), sessions.connection() as connection:  # else it runs out
            lease.release(connection, mirror_id)
        raise
    return store


def _fill(store: Store, sessions: Sessions, mirror_id: UUID, told: Told) -> None:
    token = uuid4()
    # Before the snapshot: from here on nothing that it will need is pruned.
    with sessions.connection() as connection:
        lease.register(connection, mirror_id, token)
    projects: dict[int, Calendar] = {}
    rows = 0
    with snapshot(sessions, mirror_id, TIMEOUT) as (connection, facts, _):
        wanted = calendars.wanted(connection)
        everything = {"since": 0, "before": facts.xmin}
        ranges = page_ranges(connection)
        for number, part in enumerate(_read_ahead(connection, everything, ranges), 1):
            _take_in(store, part, wanted, projects)
            rows += len(part)
            told(Progress(number, len(ranges), rows))
        for part in _doomed(connection, everything):
            _take_in(store, part, wanted, projects)
    # A later commit than all that the snapshot saw, and flushed: see lease.
    next_token = uuid4()
    with sessions.connection() as connection:
        lease.advance(connection, mirror_id, facts.xmin, known=token, token=next_token)
    with store.writing() as cursor:
        for project_id, calendar in projects.items():
            calendars.write(cursor, project_id, calendar, facts.xmin)
        rollups.rebuild(cursor, projects)
        as_of = facts.as_of if facts.xmin == facts.xmax else None
        write_state(cursor, State(mirror_id, next_token, facts.xmin, as_of, facts.history))


def _read_ahead(
    connection: Connection, span: dict[str, int], ranges: list[dict[str, str]]
) -> Iterator[pa.Table]:
    """The events of each range in turn; Postgres works on the next while one is taken in."""
    with ThreadPoolExecutor(1, "tidemark-mirror-read") as reader:
        ahead: Future[pa.Table] | None = None
        for pages in ranges:
            part = {**span, **pages}
            upcoming = reader.submit(read, connection, "events_by_page", part)
            if ahead is not None:
                yield ahead.result()
            ahead = upcoming
        if ahead is not None:
            yield ahead.result()


def _doomed(connection: Connection, span: dict[str, int]) -> Iterator[pa.Table]:
    """What was removed above the span already: see `sync`. In parts, where it is a lot."""
    above = {"since": span["before"], "before": _LAST}
    taken = {**span, "removed_since": span["before"], "removed_before": _LAST}
    if removals_within(connection, above) <= sync.MOST_REMOVALS:
        yield read(connection, "removed", taken)
        return
    for pages in page_ranges(connection, "events_removed"):
        yield read(connection, "removed_by_page", {**taken, **pages})


def _take_in(
    store: Store, part: pa.Table, wanted: dict[int, Calendar], projects: dict[int, Calendar]
) -> None:
    for project_id in part["project_id"].unique().to_pylist():
        projects.setdefault(project_id, wanted.get(project_id, DEFAULT))
    batch = Batch.of(part, part.slice(0, 0), projects)
    with store.writing() as cursor:
        known = find_people(cursor, batch.people)
        people = take_in(cursor, part, batch, known)
        enter_people(cursor, batch, people, lacking=known.keys < 0)
