"""Batches of events into the table by COPY: straight in, or by way of a staging table.

Straight in is twice as fast, but one id that is there already fails the whole batch. Then the batch
goes into a temporary table and from there, `on conflict do nothing`. Figures: docs/adr/0004.

Rows are encoded as Postgres's binary COPY by pgpq, which reads Arrow; where it has no wheel (Linux
on ARM), by asyncpg from Python values, at a third of the speed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import asyncpg
import pyarrow as pa

from analytics.events import COLUMNS, ProjectId
from ingest.commit import committed

COPIED_COLUMNS: Final = ("project_id", *COLUMNS)

_MESSAGE_BYTES: Final = 1 << 19
_TEMPORARY: Final = "pg_temp"
_STAGING: Final = "staged_events"
_CREATE_STAGING: Final = """
    create temp table if not exists staged_events (
        project_id integer, event_id uuid, occurred_at timestamptz,
        user_id text collate "C", event_type text collate "C", properties jsonb
    ) on commit delete rows
"""
# In the order of the key, as straight COPY is: see ingest.distinct.
_INSERT_STAGED: Final = """
    insert into events (project_id, event_id, occurred_at, user_id, event_type, properties)
    select project_id, event_id, occurred_at, user_id, event_type, properties
    from pg_temp.staged_events
    order by event_id
    on conflict do nothing
"""


class Encoded(Protocol):
    """Rows ready for COPY."""

    async def copy_to(
        self, connection: asyncpg.Connection, table: str, schema: str | None = None
    ) -> None:
        """Copies them into a table that has COPIED_COLUMNS."""


Encoder = Callable[[ProjectId, pa.RecordBatch], Encoded]
"""Encodes a batch in the schema validate.EVENTS; runs in a thread."""


@dataclass(frozen=True, slots=True)
class _BinaryRows:
    content: bytes

    async def copy_to(
        self, connection: asyncpg.Connection, table: str, schema: str | None = None
    ) -> None:
        await connection.copy_to_table(
            table,
            schema_name=schema,
            columns=COPIED_COLUMNS,
            format="binary",
            source=_messages(self.content),
        )


@dataclass(frozen=True, slots=True)
class _PythonRows:
    rows: list[tuple[Any, ...]]

    async def copy_to(
        self, connection: asyncpg.Connection, table: str, schema: str | None = None
    ) -> None:
        await connection.copy_records_to_table(
            table, schema_name=schema, columns=COPIED_COLUMNS, records=self.rows
        )


def encode_arrow(project_id: ProjectId, events: pa.RecordBatch) -> Encoded:
    """By pgpq."""
    from pgpq import ArrowToPostgresBinaryEncoder  # noqa: PLC0415 - not installed everywhere
    from pgpq.encoders import StringEncoderBuilder  # noqa: PLC0415
    from pgpq.schema import Jsonb  # noqa: PLC0415

    numbers = pa.repeat(pa.scalar(project_id, pa.int32()), len(events))
    rows = pa.RecordBatch.from_arrays([numbers, *events.columns], names=COPIED_COLUMNS)
    encoders = {f.name: ArrowToPostgresBinaryEncoder.infer_encoder(f) for f in rows.schema}
    encoders["properties"] = StringEncoderBuilder.new_with_output(
        rows.schema.field("properties"), Jsonb()
    )
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(rows.schema, encoders)
    return _BinaryRows(encoder.write_header() + encoder.write_batch(rows) + encoder.finish())


def encode_python(project_id: ProjectId, events: pa.RecordBatch) -> Encoded:
    """By asyncpg."""
    ids, *others = (column.to_pylist() for column in events.columns)
    uuids = [UUID(bytes=value) for value in ids]
    return _PythonRows([(project_id, *row) for row in zip(uuids, *others, strict=True)])


def default_encoder() -> Encoder:
    """The fastest that is installed."""
    return encode_arrow if find_spec("pgpq") else encode_python


class Written(NamedTuple):
    """What became of a batch: rows that are new in the table, and the way they went."""

    inserted: int
    staged: bool


class BatchWriter:
    """Writes one batch after the other, each in a transaction of its own.

    Duplicates come in runs: a file loaded again has nothing else. So after a violation batches are
    staged until one of them had no duplicates.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._expects_duplicates = False

    async def write(self, encoded: Encoded, rows: int) -> Written:
        """Writes rows with distinct ids, in the order of their ids, and commits.

        Raises:
            ContactLost: See ingest.commit.
            asyncpg.PostgresError: Postgres refuses the rows.
        """

        async def straight(connection: asyncpg.Connection) -> None:
            await encoded.copy_to(connection, "events")

        async def staged(connection: asyncpg.Connection) -> int:
            await connection.execute(_CREATE_STAGING)
            await encoded.copy_to(connection, _STAGING, _TEMPORARY)
            status = await connection.execute(_INSERT_STAGED)
            return int(status.rpartition(" ")[2])

        if not self._expects_duplicates:
            try:
                await committed(self._pool, straight)
            except asyncpg.UniqueViolationError:
                self._expects_duplicates = True
            else:
                return Written(rows, staged=False)
        inserted = await committed(self._pool, staged)
        self._expects_duplicates = inserted < rows
        return Written(inserted, staged=True)


async def _messages(content: bytes) -> AsyncIterator[memoryview]:
    """In pieces, so that asyncpg waits for the server in between."""
    view = memoryview(content)
    for start in range(0, len(view), _MESSAGE_BYTES):
        yield view[start : start + _MESSAGE_BYTES]
