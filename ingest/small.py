"""The events of a JSON request into the table, with an answer for each id.

Few events share an INSERT with those of other requests (`group`); many go by COPY, a transaction
for the request. COPY, its encoding and a thread to encode in cost about as much as forty events of
an INSERT, and a tenth of it for each event more: the two cross near COPY_FROM_ROWS (docs/adr/0008).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import asyncpg
import pyarrow as pa

from analytics.events import ProjectId
from ingest.commit import Numbers, committed
from ingest.copy import copy_new, copy_straight
from ingest.distinct import distinct_by_id
from ingest.encode import Encoder, default_encoder
from ingest.errors import InvalidEvents
from ingest.group import GroupCommit
from ingest.outcome import BatchSink, SmallResult, Way, nobody, refusals_named, told_apart
from ingest.policy import OnReject
from ingest.rules import NO_RULES, Rules, project_namespace
from ingest.sources.source import RawBatch
from ingest.validate import Checked, validate

COPY_FROM_ROWS: Final = 100
COPY_FROM_BYTES: Final = 256 << 10
"""A request of fewer but heavy events would hold up those that share its INSERT."""


class SmallWriter:
    """Writes requests whose events are all in memory."""

    def __init__(
        self, pool: asyncpg.Pool, rules: Rules = NO_RULES, *, committed: BatchSink = nobody
    ) -> None:
        """`committed` is told of each batch: the way it took, and its rows."""
        self._pool = pool
        self._rules = rules
        self._told = committed
        self._group = GroupCommit(pool, rules, committed=committed)
        self._encode = default_encoder()

    async def write(
        self, project_id: ProjectId, batch: RawBatch, on_reject: OnReject = OnReject.ABORT
    ) -> SmallResult:
        """Writes the events of a request in one transaction.

        Raises:
            InvalidEvents: Some are no events, and that is to abort the request.
            ContactLost: Postgres stayed away; whether the events are in the table is known to
                nobody, or they are not. Sending them again is safe.
            EventsRefused: Postgres refuses them.
            IdHeld: Another transaction, still open, has written one of them.
            NotWritable: Postgres takes nothing just now, a full disk say.
        """
        if batch.rows < COPY_FROM_ROWS and batch.bytes_read < COPY_FROM_BYTES:
            return await self._group.write(project_id, batch, on_reject)
        rules = replace(self._rules, namespace=project_namespace(project_id))
        checked = await asyncio.to_thread(validate, batch, rules)
        if checked.rejects and on_reject is OnReject.ABORT:
            raise InvalidEvents(checked.rejects, checked.rows)
        return await self._copy(project_id, checked)

    async def _copy(self, project_id: ProjectId, checked: Checked) -> SmallResult:
        if not len(checked.events):
            return SmallResult([], [], checked.rejects)
        ids, encoded = await asyncio.to_thread(_encoded, self._encode, project_id, checked.events)

        async def straight(
            connection: asyncpg.Connection, earlier: Numbers
        ) -> tuple[set[bytes] | None, Way]:
            if earlier:
                return await staged(connection, earlier)
            await copy_straight(connection, encoded)
            return None, Way.COPY

        async def staged(
            connection: asyncpg.Connection, earlier: Numbers
        ) -> tuple[set[bytes] | None, Way]:
            return await copy_new(connection, encoded, earlier), Way.STAGED

        with refusals_named():
            try:
                new, way = await committed(self._pool, straight)
            except asyncpg.UniqueViolationError:
                new, way = await committed(self._pool, staged)
        self._told(way, len(checked.events))
        return told_apart(ids, new, checked.rejects, way)


def _encoded(
    encode: Encoder, project_id: ProjectId, events: pa.RecordBatch
) -> tuple[list[bytes], bytes]:
    """The ids of events in the order given, and the events, each id once, for COPY."""
    distinct, _ = distinct_by_id(events)
    return events.column("event_id").to_pylist(), encode(project_id, distinct)
