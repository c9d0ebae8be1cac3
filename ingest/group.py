"""Requests that come at the same time, into the table by one INSERT.

A commit costs the disk as much for one event as for a hundred, and checking a column costs Arrow as
much; so what arrives while a group is being written becomes the next group. Each request is
answered for its own events, and hears of its own faults only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Container, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, pairwise
from typing import Any, Final, NamedTuple

import asyncpg
import pyarrow as pa

from analytics.events import COLUMNS, ProjectId
from ingest.commit import ContactLost, Numbers, committed
from ingest.errors import InvalidEvents
from ingest.outcome import (
    BatchSink,
    IdHeld,
    SmallResult,
    Way,
    ids_of,
    nobody,
    refusals_named,
    told_apart,
)
from ingest.policy import OnReject
from ingest.rejects import Reject
from ingest.rules import NO_RULES, Rules, project_namespace
from ingest.sources.source import Place, RawBatch
from ingest.validate import validate

MAX_ROWS: Final = 1_000
# A moment for others to join: without it, every other group is the one request that came first.
LINGER_SECONDS: Final = 0.002
# Whoever holds an id of a group, a forgotten psql say, would hold up all requests. So a group gives
# up soon, and its requests go on one by one, each waiting for itself.
GROUP_PATIENCE: Final = "500ms"
REQUEST_PATIENCE: Final = "10s"
# Where Postgres keeps silent: from the arrival of a group's first request, and never less than one
# more second, so that those behind a group that got no answer don't wait as long as it did.
SILENCE_SECONDS: Final = 15.0
LEAST_SECONDS: Final = 1.0

# In the order of the key, so that groups with the same ids can't deadlock. Instants go as text:
# asyncpg takes the first and the last that an event may have for -infinity and infinity.
_INSERT: Final = """
    insert into events (project_id, event_id, occurred_at, user_id, event_type, properties)
    select project_id, event_id, occurred_at, user_id, event_type, properties
    from unnest($1::int[], $2::uuid[], $3::text[]::timestamptz[], $4::text[], $5::text[],
        $6::jsonb[]) as sent (project_id, event_id, occurred_at, user_id, event_type, properties)
    order by project_id, event_id
    on conflict do nothing
    returning project_id, event_id
"""
# Those of them that are in the table, written by one of these transactions.
_OWN: Final = """
    select project_id, event_id
    from unnest($1::int[], $2::uuid[]) as sent (project_id, event_id)
    join events using (project_id, event_id)
    where ingest_xid = any ($3::text[]::xid8[])
"""


class Event(NamedTuple):
    """One event as it goes into the statement."""

    project_id: ProjectId
    event_id: bytes
    occurred_at: str
    user_id: str
    event_type: str
    properties: str


Key = tuple[ProjectId, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One request that waits for its answer."""

    project_id: ProjectId
    batch: RawBatch
    on_reject: OnReject
    answer: asyncio.Future[SmallResult]
    since: float

    def hears(self, answer: SmallResult | Exception) -> None:
        """Wakes who waits, unless it went away meanwhile."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


@dataclass(frozen=True, slots=True)
class Judged:
    """A request told apart: its events in the order sent, and the others."""

    request: Request
    events: list[Event]
    rejects: tuple[Reject, ...]


class GroupCommit:
    """Collects requests and writes them, one group after the other."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        rules: Rules = NO_RULES,
        *,
        linger: float = LINGER_SECONDS,
        committed: BatchSink = nobody,
    ) -> None:
        self._pool = pool
        self._rules = rules
        self._linger = linger
        self._told = committed
        self._waiting: deque[Request] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False

    async def write(
        self, project_id: ProjectId, batch: RawBatch, on_reject: OnReject
    ) -> SmallResult:
        """Writes the events of a request, in one transaction with those of others.

        A caller that is cancelled before its group began is left out of it; later its events are
        written all the same.

        Raises:
            InvalidEvents, ContactLost, EventsRefused, IdHeld, NotWritable: As SmallWriter.write.
        """
        loop = asyncio.get_running_loop()
        request = Request(project_id, batch, on_reject, loop.create_future(), loop.time())
        self._waiting.append(request)
        if not self._running:
            self._running = True
            self._start(self._run())
        return await request.answer

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only a weak hold of it
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._linger)
                await self._write(self._next(), GROUP_PATIENCE)
        finally:
            self._running = False
            for request in self._waiting:  # none, unless the process ends
                request.answer.cancel()

    def _next(self) -> list[Request]:
        group: list[Request] = []
        rows = 0
        while self._waiting and (not group or rows + self._waiting[0].batch.rows <= MAX_ROWS):
            request = self._waiting.popleft()
            if not request.answer.done():
                group.append(request)
                rows += request.batch.rows
        return group

    async def _write(self, group: Sequence[Request], patience: str) -> None:
        """Writes a group and tells each of its requests; each alone where all together fail."""
        try:
            answers = await self._written(judge(group, self._rules), patience)
        except ContactLost as error:
            for request in group:
                request.hears(error)
        except Exception as error:  # noqa: BLE001 - raised by the request that it belongs to
            patient = patience == REQUEST_PATIENCE
            if len(group) == 1 and (patient or not isinstance(error, IdHeld)):
                group[0].hears(error)
                return
            for request in group:
                self._start(self._write([request], REQUEST_PATIENCE))
        except asyncio.CancelledError:
            for request in group:
                request.answer.cancel()
            raise
        else:
            for request, answer in zip(group, answers, strict=True):
                request.hears(answer)

    async def _written(
        self, judged: Sequence[Judged], patience: str
    ) -> list[SmallResult | InvalidEvents]:
        first: dict[Key, Event] = {}
        for one in judged:
            for event in one.events:
                first.setdefault(event[:2], event)
        seconds = SILENCE_SECONDS
        if patience == GROUP_PATIENCE:
            waited = asyncio.get_running_loop().time() - judged[0].request.since
            seconds = max(LEAST_SECONDS, seconds - waited)
        new = await self._insert(list(first.values()), patience, seconds) if first else set()
        return [_answer(one, first, new) for one in judged]

    async def _insert(self, events: Sequence[Event], patience: str, seconds: float) -> set[Key]:
        """Which of these events, with distinct keys, are new in the table."""
        projects, ids, *others = map(list, zip(*events, strict=True))
        values = (projects, ids_of(ids), *others)

        async def insert(connection: asyncpg.Connection, earlier: Numbers) -> set[Key]:
            new = await connection.fetch(_INSERT, *values)
            own = await connection.fetch(_OWN, *values[:2], earlier) if earlier else []
            return {(project_id, event_id.bytes) for project_id, event_id in (*new, *own)}

        with refusals_named():
            new = await committed(self._pool, insert, lock_timeout=patience, seconds=seconds)
        self._told(Way.INSERT, len(events))
        return new


def judge(group: Sequence[Request], rules: Rules) -> list[Judged]:
    """Tells the events of each request from what is none, those of a project in one go."""
    places: dict[ProjectId, list[int]] = {}
    for place, request in enumerate(group):
        places.setdefault(request.project_id, []).append(place)
    judged: dict[int, Judged] = {}
    for project_id, own in places.items():
        found = _judge(
            [group[place] for place in own], replace(rules, namespace=project_namespace(project_id))
        )
        judged.update(zip(own, found, strict=True))
    return [judged[place] for place in range(len(group))]


def _judge(group: Sequence[Request], rules: Rules) -> list[Judged]:
    """The same for requests of one project."""
    sizes = [len(request.batch.columns["event_id"]) for request in group]
    joined = {
        name: pa.concat_arrays([request.batch.columns[name] for request in group])
        for name in COLUMNS
    }
    checked = validate(RawBatch(joined, group[0].batch.unit, _numbered, (), 0), rules)
    faults = {reject.position: reject for reject in checked.rejects}
    ids, instants, *texts = checked.events.columns
    columns = (ids, instants.cast(pa.string()), *texts)
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    judged = []
    for request, (start, end) in zip(group, pairwise(accumulate(sizes, initial=0)), strict=True):
        bad = [row for row in range(start, end) if row in faults]
        good = islice(rows, end - start - len(bad))
        events = [Event(request.project_id, *row) for row in good]
        rejects = _placed(request.batch, [faults[row] for row in bad], [r - start for r in bad])
        refused = rejects and request.on_reject is OnReject.ABORT
        judged.append(Judged(request, [] if refused else events, rejects))
    return judged


def _numbered(rows: Sequence[int]) -> list[Place]:
    """Rows of a joined batch stand where they stand; `_placed` says where they came from."""
    return [Place(row, "") for row in rows]


def _placed(batch: RawBatch, faults: Sequence[Reject], rows: Sequence[int]) -> tuple[Reject, ...]:
    """All rejects of a request, the faults where its own rows stand, in its order."""
    places = batch.locate(rows) if rows else []
    found = [
        replace(fault, position=place.position, unit=batch.unit, raw=place.raw)
        for fault, place in zip(faults, places, strict=True)
    ]
    return tuple(sorted((*batch.rejects, *found), key=lambda reject: reject.position))


def _answer(
    one: Judged, first: Mapping[Key, Event], new: Container[Key]
) -> SmallResult | InvalidEvents:
    if one.rejects and one.request.on_reject is OnReject.ABORT:
        return InvalidEvents(one.rejects, one.request.batch.rows)
    own = {event.event_id for event in one.events if event[:2] in new and first[event[:2]] is event}
    return told_apart([event.event_id for event in one.events], own, one.rejects, Way.INSERT)
