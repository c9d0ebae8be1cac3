"""From one tidemark to the next: what Postgres settled meanwhile, into the file, at once.

Everything is read in one snapshot S. H1 = xmin(S) is the new tidemark: transactions below it are
settled, whatever order they committed in. With H0 the old one, S gives

    gone      versions from below H0, removed by transactions in [H0, H1): they leave the file
    arrived   versions written in [H0, H1) that S sees
    doomed    versions written in [H0, H1) that S doesn't see, for a transaction at or above H1 that
              is committed already has removed them

The doomed are taken in, from the log of removals: so every removal at or above H1 that a question
finds in the log removes exactly one event of the file, and sums may be used instead of a search.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from time import monotonic, perf_counter
from typing import Final
from uuid import uuid4

import numpy as np
import pyarrow as pa

from analytics.mirror import calendars, changes, courtesy, lease, rollups
from analytics.mirror.batch import Batch
from analytics.mirror.calendars import DEFAULT, Calendar
from analytics.mirror.codes import order_of
from analytics.mirror.columns import SCHEMA, Connection, read
from analytics.mirror.dictionaries import enter_people, enter_types, with_next_keys
from analytics.mirror.errors import HistoryBroken, MirrorBroken, MirrorUnavailable
from analytics.mirror.history import Facts, snapshot
from analytics.mirror.lookup import Lookup, remember
from analytics.mirror.periods import GRAINS
from analytics.mirror.prepared import tail_size
from analytics.mirror.state import State, check
from analytics.mirror.store import Cursor, Store, write_state
from analytics.mirror.users import Applied, Keys
from analytics.sessions import Sessions
from analytics.sql import statement

logger = logging.getLogger(__name__)

# Above so many new rows an index costs more than reading the table's pages in order.
ROWS_BY_INDEX: Final = 300_000
# What a sync takes on in one go: some hundred megabytes.
MOST_ROWS: Final = 3_000_000
MOST_REMOVALS: Final = 1_000_000
PAGES_AT_ONCE: Final = 4_000
# A little less than a row group, which has 122,880 rows; see Store.reading.
LARGE: Final = 100_000
TIMEOUT: Final = timedelta(minutes=10)
_REMOVALS_WITHIN: Final = """/* tidemark mirror removals */
select count(*) from (
    select 1 from events_removed
    where removed_xid >= %(since)s::text::xid8 and removed_xid < %(before)s::text::xid8
    limit %(most)s
) as found"""
# Of one table: itself; a partitioned one has no pages of its own.
_PAGES: Final = """/* tidemark mirror pages */
select
    coalesce(max(pg_relation_size(oid)), 0) / current_setting('block_size')::bigint,
    greatest(count(*), 1)
from (
    select %(table)s::regclass as oid where not exists (select from pg_partition_tree(%(table)s))
    union all
    select relid from pg_partition_tree(%(table)s) where isleaf
) as tables"""
# What questions group events by: sorted so, they pack well and group fast.
_GROUPED_BY: Final = ("project_id", "day", "type_key", "user_key")
# Tables that may get their first rows; see Store.writing.
_IS_EMPTY: Final = """/* tidemark mirror empty */
select not exists (select 1 from events) or not exists (select 1 from recent_user_days)"""
# One a sync, while a transaction stays open: an hour's.
MARKS_KEPT: Final = 3_600
# Step -> the changes that it takes; without any it has nothing to do.
_UPDATES: Final = {
    "update_type_counts": "type_changes",
    "update_cohort_counts": "cohort_changes",
    "update_active_counts": "active_changes",
    "update_first_days": "first_days",
    "delete_users": "first_days",
    "update_user_days": "user_day_changes",
}


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync did.

    Attributes:
        horizon: the tidemark now.
        as_of: UTC instant; everything committed before it is in the file. None if not known yet.
        rows, removals: how many events came and went.
        tail: how many events are left above the tidemark, counted up to ROWS_BY_INDEX + 1.
        user_days: how many rows were added to that roll-up.
        seconds: from the look at Postgres to the file's commit.
    """

    horizon: int
    as_of: datetime | None
    rows: int
    removals: int
    tail: int
    user_days: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Read:
    """What one snapshot says of the span between two tidemarks, in the schema of `columns`."""

    facts: Facts
    arrived: pa.Table
    doomed: pa.Table
    gone: pa.Table
    calendars: dict[int, Calendar]
    above: int
    removals_above: int


class Syncer:
    """Brings one file up to date, again and again. One sync at a time, by the caller's care."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        """Takes a whole file and a way to its Postgres; both stay the caller's to close."""
        self._store = store
        self._sessions = sessions
        self._marks: list[tuple[int, datetime]] = []
        self._caught_up = False

    def sync(self) -> Synced:
        """Bring the file to what Postgres has settled by now.

        A file that lacks nothing keeps its tidemark, and with it the version of its answers; unless
        removals of events that it never held have piled up above, which each question has to count.

        Raises:
            MirrorBroken: the file, or the history it belongs to, can't be trusted any more.
            MirrorUnavailable: not now; the file is as it was.
            psycopg.Error: what Postgres says; the file is as it was.
        """
        started = perf_counter()
        give_way = partial(self._store.courtesy.give_way, monotonic() + courtesy.SECONDS)
        give_way()
        self._store.require_present()
        with self._store.reading(TIMEOUT) as (cursor, state):
            before = calendars.known(cursor)
            empty = cursor.execute(_IS_EMPTY).fetchone() == (True,)
        # Later than the first: what a mirror that slept lacks is wanted sooner, and whoever syncs
        # once has no use for it.
        if self._caught_up and self._store.users.wants(state.token):
            self._remember_users()
        found = _read(self._sessions, state)
        as_of = self._settled_at(found.facts) or state.as_of
        stale = _stale(before, found)
        user_days = 0
        rows, removals = len(found.arrived) + len(found.doomed), len(found.gone)
        passed = found.removals_above > 0 and found.facts.xmin > state.horizon
        if rows or removals or stale or passed:
            old, users = state, self._store.users
            state = replace(_advanced(self._sessions, old, found.facts), as_of=as_of)
            large = empty or bool(stale) or rows + removals >= LARGE
            with self._store.writing(large=large) as cursor:
                applied = _apply(Lookup(cursor, old, users), before, found, give_way)
                _recalculate(cursor, stale, found.facts.xmin)
                write_state(cursor, state)
            user_days = len(applied.user_days)
            if not stale:  # else the days of others have changed, too
                users.advance(old.token, state.token, applied)
        self._caught_up = True
        seconds = perf_counter() - started
        tail = max(0, found.above - len(found.arrived))
        return Synced(state.horizon, as_of, rows, removals, tail, user_days, seconds)

    def _remember_users(self) -> None:
        """Have the file's users in memory; where that takes too much, the file will be asked."""
        users = self._store.users
        try:
            with self._store.reading(TIMEOUT) as (cursor, state):
                remember(cursor, state, users)
        except MirrorBroken:
            raise
        except MirrorUnavailable as error:
            users.give_up()
            logger.warning("mirror.users_not_in_memory cause=%s: %s", error.cause, error)

    def _settled_at(self, facts: Facts) -> datetime | None:
        """The latest known instant before which everything committed is settled by these facts.

        A snapshot at t saw all that had committed by t, and all of that is below its xmax. So once
        xmin has passed that number, everything committed before t is below the tidemark.
        """
        self._marks.append((facts.xmax, facts.as_of))
        passed = [at for xmax, at in self._marks if xmax <= facts.xmin]
        self._marks = [mark for mark in self._marks if mark[0] > facts.xmin][-MARKS_KEPT:]
        return max(passed, default=None)


def _read(sessions: Sessions, state: State) -> _Read:
    size = tail_size(state.horizon, 0, ROWS_BY_INDEX + 1, ROWS_BY_INDEX + 1)
    with snapshot(sessions, state.mirror_id, TIMEOUT, size) as (connection, facts, [sizes]):
        check(facts, state)
        span = {"since": state.horizon, "before": facts.xmin}
        if sizes[2] > ROWS_BY_INDEX:
            _refuse_more(removals_within(connection, span), MOST_REMOVALS, "removals")
        arrived = _arrived(connection, span, by_index=sizes[0] <= ROWS_BY_INDEX)
        above = {"removed_since": facts.xmin, "removed_before": 2**63 - 1}
        doomed = read(connection, "removed", {**span, **above})
        within = {"removed_since": state.horizon, "removed_before": facts.xmin}
        gone = read(connection, "removed", {**within, "since": 0, "before": state.horizon})
        return _Read(facts, arrived, doomed, gone, calendars.wanted(connection), sizes[0], sizes[2])


def _arrived(connection: Connection, span: dict[str, int], *, by_index: bool) -> pa.Table:
    if by_index:
        return read(connection, "events_by_xid", span)
    parts = [SCHEMA.empty_table()]
    for pages in page_ranges(connection):
        parts.append(read(connection, "events_by_page", {**span, **pages}))
        _refuse_more(sum(map(len, parts)), MOST_ROWS, "rows")
    return pa.concat_tables(parts)


def removals_within(connection: Connection, span: dict[str, int]) -> int:
    """How many were logged by transactions `since` one and `before` another, up to one too many."""
    row = connection.execute(_REMOVALS_WITHIN, {**span, "most": MOST_REMOVALS + 1}).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups has one row
    return int(row[0])


def _refuse_more(found: int, most: int, what: str) -> None:
    """A build reads in ranges; a sync holds all of it in memory."""
    if found > most:
        raise MirrorBroken(
            f"more than {most:,} {what} piled up since the last sync; building anew is cheaper",
            cause="backlog",
        )


def page_ranges(connection: Connection, table: str = "events") -> list[dict[str, str]]:
    """Ranges of places in the table that together hold every row this snapshot sees.

    A range is of every partition alike; together they have no more pages than a whole table's.
    """
    row = connection.execute(_PAGES, {"table": table}).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups has one row
    most, tables = row
    at_once = max(PAGES_AT_ONCE // int(tables), 1)
    starts = range(0, max(int(most), 1), at_once)
    return [{"first": f"({s},0)", "end": f"({s + at_once},0)"} for s in starts]


def _advanced(sessions: Sessions, state: State, facts: Facts) -> State:
    """The state after the sync, known to the lease before the file says so."""
    token = uuid4()
    with sessions.connection() as connection:
        if not lease.advance(
            connection, state.mirror_id, facts.xmin, known=state.token, token=token
        ):
            raise HistoryBroken("the mirror's lease is gone", cause="token")
    return replace(state, token=token, horizon=facts.xmin)


def _stale(before: dict[int, Calendar], found: _Read) -> dict[int, Calendar]:
    """Projects whose roll-ups are by another calendar than the project's own, with the new one."""
    return {
        project_id: found.calendars.get(project_id, DEFAULT)
        for project_id, calendar in before.items()
        if calendar != found.calendars.get(project_id, DEFAULT)
    }


def _apply(
    lookup: Lookup, known: dict[int, Calendar], found: _Read, give_way: Callable[[], None]
) -> Applied:
    """Events first, then every count that they change."""
    cursor = lookup.cursor
    arrivals = pa.concat_tables([found.arrived, found.doomed])
    tables = (arrivals, found.gone)
    touched = {int(each) for table in tables for each in table["project_id"].unique().to_pylist()}
    of_touched = {each: known.get(each) or found.calendars.get(each, DEFAULT) for each in touched}
    for project_id, calendar in of_touched.items():
        calendars.write(cursor, project_id, calendar, found.facts.xmin)
    give_way()
    batch = Batch.of(arrivals, found.gone, of_touched)
    was = lookup.keys(batch.people)
    give_way()
    _take_out(cursor, found.gone, batch, was)
    people = take_in(cursor, arrivals, batch, was)
    give_way()
    days = changes.find_days(lookup.days, batch, people, GRAINS)
    now = Keys(people.keys, days.first_days(), days.last_days())
    lacking = was.keys < 0
    # Behind the days: whose first one is known needs no pass over the dictionary for it.
    enter_people(cursor, batch, now, lacking)
    changed = {
        "type_changes": changes.find_type_changes(batch),
        "cohort_changes": days.cohort_changes(GRAINS),
        "active_changes": days.active_changes(GRAINS),
        "first_days": days.cohorts(~lacking),
        "user_day_changes": days.user_days(),
    }
    for step, name in _UPDATES.items():
        if len(changed[name]):
            give_way()
            cursor.register(name, changed[name])
            cursor.execute(statement("sync", step))
    return Applied(batch.people, was, now, changed["user_day_changes"])


def _take_out(cursor: Cursor, gone: pa.Table, batch: Batch, people: Keys) -> None:
    if not len(gone):
        return
    cursor.register("gone", _by_keys(gone, batch, people, sign=-1))
    deleted = cursor.execute(statement("sync", "delete_events")).fetchone()
    if deleted != (len(gone),):
        raise MirrorBroken(
            f"{len(gone)} events were removed, but the mirror held {deleted} of them",
            cause="mismatch",
        )


def take_in(cursor: Cursor, arrivals: pa.Table, batch: Batch, people: Keys) -> Keys:
    """Put what came into the file; who the batch's people are there now.

    `arrivals` are the batch's events that came, in SCHEMA; `people` are as found in the file. Who
    is not in the dictionary gets a key here, and is left to the caller to enter.
    """
    if not len(arrivals):
        return people
    people = with_next_keys(cursor, people)
    types = pa.array(enter_types(cursor, arrivals["event_type"]).astype(np.int32))
    rows = _by_keys(arrivals, batch, people, sign=1).append_column("type_key", types)
    order = order_of([rows[name].to_numpy() for name in _GROUPED_BY])
    cursor.register("arrivals", rows.take(pa.array(order)))
    cursor.execute(statement("sync", "insert_events"))
    return people


def _by_keys(events: pa.Table, batch: Batch, people: Keys, *, sign: int) -> pa.Table:
    """The batch's events of this sign, with what else they have, with keys and days for names."""
    chosen = batch.events["sign"].to_numpy() == sign
    keys = people.keys[batch.person_of_each[chosen]].astype(np.int32)
    return (
        events.select(["project_id", "event_id", "occurred_at", "ingest_xid"])
        .append_column("user_key", pa.array(keys))
        .append_column("day", pa.array(batch.events["day"].to_numpy()[chosen]))
    )


def _recalculate(cursor: Cursor, stale: dict[int, Calendar], horizon: int) -> None:
    for project_id, calendar in stale.items():
        rollups.move_to_zone(cursor, project_id, calendar.timezone)
        calendars.write(cursor, project_id, calendar, horizon)
    if stale:
        rollups.rebuild(cursor, stale)
