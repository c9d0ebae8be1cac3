"""A few events into the table with one INSERT: all of them or, if one is invalid, none."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg
import pyarrow as pa

from analytics.errors import Unreachable
from analytics.events import ProjectId
from ingest.commit import AWAY, CONFLICTS
from ingest.errors import InvalidEvents
from ingest.sources.source import RawBatch
from ingest.validate import Checked, validate

_ATTEMPTS: Final = 4
_ROWS_AT_ONCE: Final = 1_000  # more are validated in a thread, so that others needn't wait
# In the order of the key, so that requests with the same ids can't deadlock. Instants go as text:
# asyncpg takes the first and the last that an event may have for -infinity and infinity.
_INSERT: Final = """
    insert into events (project_id, event_id, occurred_at, user_id, event_type, properties)
    select $1, event_id, occurred_at, user_id, event_type, properties
    from unnest($2::uuid[], $3::text[]::timestamptz[], $4::text[], $5::text[], $6::jsonb[])
        as sent (event_id, occurred_at, user_id, event_type, properties)
    order by event_id
    on conflict do nothing
    returning event_id
"""


@dataclass(frozen=True, slots=True)
class SmallResult:
    """Ids of a request, in its order.

    Attributes:
        inserted: Those that are new in the table.
        duplicates: Those that were there already. Of an id sent twice the first event counts, and
            the second is listed here.
    """

    inserted: list[UUID]
    duplicates: list[UUID]


async def insert_events(
    connection: asyncpg.Connection, project_id: ProjectId, batch: RawBatch
) -> SmallResult:
    """Writes the events of a request, or none of them.

    Raises:
        InvalidEvents: Some are no events; it lists all of these.
        Unreachable: Postgres went away, perhaps after it had written the events; sending them
            again is safe, and lists those as duplicates.
    """
    checked = await _validated(batch)
    if checked.rejects:
        raise InvalidEvents(checked.rejects, checked.rows)
    if not checked.rows:
        return SmallResult([], [])
    ids, instants, *texts = checked.events.columns
    others = [column.to_pylist() for column in (instants.cast(pa.string()), *texts)]
    sent = [UUID(bytes=value) for value in ids.to_pylist()]
    first: dict[UUID, int] = {}
    for row, event_id in enumerate(sent):
        first.setdefault(event_id, row)
    values = [[column[row] for row in first.values()] for column in others]
    new = await _insert(connection, project_id, list(first), *values)
    return SmallResult(
        inserted=[event_id for event_id in first if event_id in new],
        duplicates=[
            event_id
            for row, event_id in enumerate(sent)
            if event_id not in new or first[event_id] != row
        ],
    )


async def _validated(batch: RawBatch) -> Checked:
    if batch.rows <= _ROWS_AT_ONCE:
        return validate(batch)
    return await asyncio.to_thread(validate, batch)


async def _insert(connection: asyncpg.Connection, *values: object) -> set[UUID]:
    """The ids that are new. A conflict is tried again, unless it broke the caller's transaction."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return {row["event_id"] for row in await connection.fetch(_INSERT, *values)}
        except CONFLICTS as error:
            if attempt == _ATTEMPTS or connection.is_in_transaction():
                message = f"Other writers were in the way: {error}. Send the events again"
                raise Unreachable(message) from error
        except AWAY as error:
            if isinstance(error, ValueError):  # asyncpg's word for an argument of the wrong type
                raise
            connection.terminate()  # so that no pool hands it out again
            raise Unreachable(
                f"Postgres went away while it wrote the events ({error}); send them again: those it"
                " has written will be listed as duplicates"
            ) from error
    raise AssertionError
