"""Batches of events as the bytes of Postgres's binary COPY.

By pgpq, which reads Arrow columns; where it has no wheel (Linux on ARM), by Python, row by row, to
the very same bytes. asyncpg's `copy_records_to_table` is no choice here: it takes the first and the
last instant that an event may have for -infinity and infinity, and is half as fast.

Source: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

import pyarrow as pa

from analytics.events import COLUMNS, ProjectId

COPIED_COLUMNS: Final = ("project_id", *COLUMNS)

Encoder = Callable[[ProjectId, pa.RecordBatch], bytes]
"""Encodes a batch in the schema validate.EVENTS as rows of COPIED_COLUMNS; runs in a thread."""

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_TRAILER: Final = b"\xff\xff"
_EPOCH: Final = 946_684_800_000_000  # Postgres counts microseconds from the year 2000
_JSONB_VERSION: Final = b"\x01"
# The number of fields, then each field's length and value, up to the length of user_id.
_ROW_HEAD: Final = struct.Struct(">h ii i16s iq i")
_LENGTH: Final = struct.Struct(">i")


def encode_arrow(project_id: ProjectId, events: pa.RecordBatch) -> bytes:
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
    return encoder.write_header() + encoder.write_batch(rows) + encoder.finish()


def encode_python(project_id: ProjectId, events: pa.RecordBatch) -> bytes:
    """By Python."""
    ids, instants, *texts = events.columns
    columns = [ids, instants.cast(pa.int64()), *(text.cast(pa.binary()) for text in texts)]
    head, length = _ROW_HEAD.pack, _LENGTH.pack
    pieces = [_SIGNATURE]
    for event_id, micros, user_id, event_type, properties in zip(
        *(column.to_pylist() for column in columns), strict=True
    ):
        pieces += (
            head(6, 4, project_id, 16, event_id, 8, micros - _EPOCH, len(user_id)),
            user_id,
            length(len(event_type)),
            event_type,
            length(len(properties) + 1),
            _JSONB_VERSION,
            properties,
        )
    pieces.append(_TRAILER)
    return b"".join(pieces)


def default_encoder() -> Encoder:
    """The faster of those that are installed."""
    return encode_arrow if find_spec("pgpq") else encode_python
