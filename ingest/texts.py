"""Values of typed columns as the texts that a person, or JSON, would write for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_UUID_BYTES: Final = 16


def as_texts(column: pa.Array) -> pa.StringArray:
    """A column of a raw batch as texts, an empty one for null. Exact: no two values share a text.

    Timestamps become their count of units since 1970.
    """
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64()).cast(pa.string())
    else:
        column = pa.array([_text(value, column.type) for value in column.to_pylist()], pa.string())
    return pc.fill_null(column, "")


def written(column: pa.Array, rows: list[int]) -> list[str | None]:
    """Some values of a column of a raw batch as ISO 8601, UUID or the text they are."""
    chosen = column.take(pa.array(rows, pa.int64()))
    if pa.types.is_timestamp(column.type):
        values = chosen.cast(pa.int64()).to_pylist()
        return [None if value is None else instant(value, column.type) for value in values]
    return [_text(value, column.type) for value in chosen.to_pylist()]


def instant(value: int, kind: pa.TimestampType) -> str:
    """A timestamp as ISO 8601 with all its digits, with Z if its type has a zone."""
    per_second = _PER_SECOND[kind.unit]
    seconds, rest = divmod(value, per_second)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:
        return f"{value} {kind.unit} since 1970"
    digits = str(rest + per_second)[1:] if rest else ""
    return text.rjust(19, "0") + (f".{digits}" if digits else "") + ("Z" if kind.tz else "")


def _text(value: Any, kind: pa.DataType) -> str | None:
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if len(value) == _UUID_BYTES else value.hex()
    if value is None or isinstance(value, str):
        return value
    raise TypeError(kind)
