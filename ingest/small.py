"""The events of a JSON request into the table, with an answer for each id.

Few events share an INSERT with those of other requests (`group`); many go by COPY, a transaction
for the request. COPY, its encoding and a thread to encode in cost about as much as forty events of
an INSERT, and a tenth of it for each event more: the two cross near COPY_FROM_ROWS (docs/adr/0008).
"""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg

from analytics.events import ProjectId
from ingest.commit import committed
from ingest.copy import copy_staged, copy_straight
from ingest.distinct import distinct_by_id
from ingest.encode import Encoder, default_encoder
from ingest.errors import InvalidEvents
from ingest.group import GroupCommit
from ingest.outcome import SmallResult, Way, refusals_named, told_apart
from ingest.policy import OnReject
from ingest.rejects import Reject
from ingest.sources.source import RawBatch
from ingest.validate import validate

COPY_FROM_ROWS: Final = 100
COPY_FROM_BYTES: Final = 256 << 10
"""A request of fewer but heavy events would hold up those that share its INSERT."""


class SmallWriter:
    """Writes requests whose events are all in memory."""

    def __init__(self, pool: asyncpg.Pool, encoder: Encoder | None = None) -> None:
        self._pool = pool
        self._group = GroupCommit(pool)
        self._encode = encoder or default_encoder()

    async def write(
        self, project_id: ProjectId, batch: RawBatch, on_reject: OnReject = OnReject.ABORT
    ) -> SmallResult:
        """Writes the events of a request in one transaction.

        Raises:
            InvalidEvents: Some are no events, and that is to abort the request.
            ContactLost: Postgres stayed away; whether the events are in the table is known to
                nobody, or they are not. Sending them again is safe.
            EventsRefused: Postgres refuses them.
        """
        if batch.rows < COPY_FROM_ROWS and batch.bytes_read < COPY_FROM_BYTES:
            return await self._group.write(project_id, batch, on_reject)
        prepared = await asyncio.to_thread(_prepare, self._encode, project_id, batch, on_reject)
        return await self._copy(*prepared)

    async def _copy(
        self, ids: list[bytes], encoded: bytes, rejects: tuple[Reject, ...]
    ) -> SmallResult:
        if not ids:
            return SmallResult([], [], rejects)
        with refusals_named():
            try:
                await committed(self._pool, lambda connection: copy_straight(connection, encoded))
            except asyncpg.UniqueViolationError:
                new = await committed(
                    self._pool, lambda connection: copy_staged(connection, encoded)
                )
                return told_apart(ids, new, rejects, Way.STAGED)
        return told_apart(ids, None, rejects, Way.COPY)


def _prepare(
    encode: Encoder, project_id: ProjectId, batch: RawBatch, on_reject: OnReject
) -> tuple[list[bytes], bytes, tuple[Reject, ...]]:
    """The ids of the good events in the request's order, the events encoded, and the others."""
    checked = validate(batch)
    if checked.rejects and on_reject is OnReject.ABORT:
        raise InvalidEvents(checked.rejects, checked.rows)
    distinct, _ = distinct_by_id(checked.events)
    ids = checked.events.column("event_id").to_pylist()
    return ids, encode(project_id, distinct), checked.rejects
