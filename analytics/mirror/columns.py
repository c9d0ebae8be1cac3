r"""Rows of Postgres as Arrow columns: Postgres itself turns them by aggregates, one a column.

    select string_agg(timestamptz_send(occurred_at), ''), string_agg(textsend(user_id), '\xff'), ...

answers one row whose fields are whole columns in binary, so neither side touches a Python object
for each value. Texts are told apart by a byte that UTF-8 never has. Measured on 1.67M events: 0.9
to 1.1 s, where COPY as CSV read by pyarrow took 3.1 s, ADBC 1.4 s and DuckDB's Postgres extension
0.8 s, which needs a session of its own and can't share a snapshot. All aggregates of a statement
see the rows in the same order.

A field holds at most 1 GB: who reads bounds the rows, by pages or by a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, TypeAlias

import numpy as np
import psycopg
import pyarrow as pa

from analytics.sql import statement

Connection: TypeAlias = psycopg.Connection[Any]

# Microseconds from 1970, where Arrow and DuckDB count from, to 2000, where Postgres does.
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000

# Between texts: no text in UTF-8 has such a byte.
_SEPARATOR: Final = 0xFF

_INTEGER, _LONG = np.dtype(">i4"), np.dtype(">i8")

# Column -> the field that holds it; statements answer the number of rows and then these.
_FIELDS: Final[Mapping[str, LiteralString]] = {
    "project_id": "string_agg(int4send(project_id), '')",
    "event_id": "string_agg(uuid_send(event_id), '')",
    "occurred_at": "string_agg(timestamptz_send(occurred_at), '')",
    "user_id": r"string_agg(textsend(user_id), '\xff')",
    "event_type": r"string_agg(textsend(event_type), '\xff')",
    "ingest_xid": "string_agg(xid8send(ingest_xid), '')",
}

SCHEMA: Final = pa.schema(
    {
        "project_id": pa.int32(),
        "event_id": pa.uuid(),
        "occurred_at": pa.timestamp("us"),
        "user_id": pa.string(),
        "event_type": pa.string(),
        "ingest_xid": pa.int64(),
    }
)


def read(
    connection: Connection,
    name: str,
    parameters: Mapping[str, object],
    columns: Sequence[str] = SCHEMA.names,
) -> pa.Table:
    """The rows that the statement `sync/<name>.sql` selects, in any order: these columns of SCHEMA.

    `occurred_at` is in UTC, without a zone. Nothing is held back on the server.

    Raises:
        psycopg.Error: what Postgres says.
    """
    return _table(_row(connection, name, parameters, columns), columns)


def read_counted(
    connection: Connection, name: str, parameters: Mapping[str, object], columns: Sequence[str]
) -> tuple[pa.Table, int]:
    """As `read`, of the project that the parameters name, and how many rows all projects have."""
    *row, of_all = _row(
        connection, name, parameters, columns, " filter (where project_id = %(project_id)s)"
    )
    return _table(row, columns), of_all


def _row(
    connection: Connection,
    name: str,
    parameters: Mapping[str, object],
    columns: Sequence[str],
    of: LiteralString = "",
) -> Sequence[Any]:
    fields = ["count(*)", *(_FIELDS[column] for column in columns)]
    sql = statement("sync", name).replace("{columns}", ", ".join(f"{each}{of}" for each in fields))
    with connection.cursor(binary=True) as cursor:
        row: Sequence[Any] | None = cursor.execute(sql, parameters, prepare=False).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups has one row
    return row


def _table(row: Sequence[Any], columns: Sequence[str]) -> pa.Table:
    """From the number of rows and the field of each column."""
    schema = pa.schema([SCHEMA.field(column) for column in columns])
    rows, *found = row
    if rows == 0:
        return schema.empty_table()
    arrays = [
        _decoded(field.type, content, rows) for field, content in zip(schema, found, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _decoded(kind: pa.DataType, content: bytes, rows: int) -> pa.Array:
    """A column of a type, off its field."""
    if kind == pa.string():
        return _texts(content)
    if kind == pa.timestamp("us"):
        return _instants(content)
    if kind == pa.uuid():
        return pa.ExtensionArray.from_storage(kind, _fixed(content, 16, rows))
    return pa.array(_native(content, _INTEGER if kind == pa.int32() else _LONG))


def _native(content: bytes, kind: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Numbers in network order as this machine's."""
    return np.frombuffer(content, kind).astype(kind.newbyteorder("="))


def _fixed(content: bytes, width: int, rows: int) -> pa.Array:
    buffers = [None, pa.py_buffer(content)]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), rows, buffers)


def _instants(content: bytes) -> pa.Array:
    since_1970 = _native(content, _LONG) + _POSTGRES_EPOCH_US
    return pa.array(since_1970).view(pa.timestamp("us"))


def _texts(content: bytes) -> pa.Array:
    separated = np.frombuffer(content, np.uint8)
    separators = np.flatnonzero(separated == _SEPARATOR)
    # Without the separators in front of it, each text ends that much earlier.
    ends = np.append(separators, len(separated)) - np.arange(len(separators) + 1)
    offsets = pa.py_buffer(np.concatenate([[0], ends]).astype(np.int32))
    together = pa.py_buffer(np.delete(separated, separators))
    return pa.StringArray.from_buffers(len(ends), offsets, together)
