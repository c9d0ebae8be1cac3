"""Values of Arrow columns as JSON texts, whatever their type.

Numbers keep every digit, also decimals. Dates and times are ISO 8601, UUIDs their usual text, other
bytes hexadecimal. In a struct a null makes no member: Arrow can't tell a field that is null from
one that isn't there. NaN and infinity come out as NaN and Infinity, which is no JSON and refused
later, with the row's position.
"""

from __future__ import annotations

import json
import math
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingest.texts import instant

_PLAIN: Final = r'^[^"\\\x00-\x1f]*$'
_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


def as_json(column: pa.Array) -> pa.StringArray:
    """A JSON text for each value; null for null, and for an empty text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_json(column.dictionary).take(column.indices)
    if is_text(kind):
        return _quoted(column.cast(pa.string()))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if isinstance(kind, pa.JsonType):
        return column.storage.cast(pa.string())
    return pa.array([_json(value) for value in python_values(column)], pa.string())


def is_text(kind: pa.DataType) -> bool:
    """Whether it is one of Arrow's kinds of text."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def python_values(column: pa.Array) -> list[Any]:  # noqa: PLR0911 - one for each kind of type
    """Values as Python has them: structs and maps as dicts, structs without their nulls."""
    kind = column.type
    if not len(column):
        return []
    if pa.types.is_struct(kind):
        return _structs(column)
    if pa.types.is_map(kind):
        return _maps(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        offsets = column.offsets.to_pylist()
        items = python_values(column.values.slice(offsets[0], offsets[-1] - offsets[0]))
        return _runs(column, offsets, items)
    if pa.types.is_timestamp(kind):
        return [None if value is None else instant(value, kind) for value in _integers(column)]
    if isinstance(kind, pa.BaseExtensionType):
        return python_values(column.storage)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        # A nanosecond has no place in Python's own types.
        column = column.cast(pa.int64() if pa.types.is_duration(kind) else pa.string())
    values: list[Any] = column.to_pylist()
    return values


def _structs(column: pa.StructArray) -> list[Any]:
    names = [column.type.field(index).name for index in range(column.type.num_fields)]
    fields = [python_values(child) for child in column.flatten()]
    rows = zip(*fields, strict=True) if fields else iter([()] * len(column))
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        if valid
        else None
        for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)
    ]


def _maps(column: pa.MapArray) -> list[Any]:
    offsets = column.offsets.to_pylist()
    first, size = offsets[0], offsets[-1] - offsets[0]
    keys = column.keys.slice(first, size).to_pylist()
    values = python_values(column.items.slice(first, size))
    pairs = _runs(column, offsets, list(zip(keys, values, strict=True)))
    return [None if found is None else dict(found) for found in pairs]


def _runs(column: pa.Array, offsets: list[int], values: list[Any]) -> list[list[Any] | None]:
    """Each row's share of the values, which begin at the first offset."""
    first = offsets[0]
    return [
        values[start - first : end - first] if valid else None
        for start, end, valid in zip(
            offsets, offsets[1:], column.is_valid().to_pylist(), strict=False
        )
    ]


def _integers(column: pa.Array) -> list[int | None]:
    values: list[int | None] = column.cast(pa.int64()).to_pylist()
    return values


def _quoted(texts: pa.StringArray) -> pa.StringArray:
    """JSON strings; null for an empty text."""
    plain = pc.match_substring_regex(texts, _PLAIN)
    if pc.all(plain, skip_nulls=True).as_py():
        escaped = pc.binary_join_element_wise('"', texts, '"', "")
    else:
        distinct = texts.dictionary_encode()
        found = pa.array([_json(text) for text in distinct.dictionary.to_pylist()], pa.string())
        escaped = found.take(distinct.indices)
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), escaped)


def _json(value: Any) -> str | None:
    if value is None:
        return None
    if _has_no_number(value):
        return json.dumps(value, default=_in_words, ensure_ascii=False)
    try:
        return orjson.dumps(value, _more, _OPTIONS).decode()
    except orjson.JSONEncodeError:  # integers beyond 64 bits, nesting beyond all measure
        return json.dumps(value, default=_in_words, ensure_ascii=False)


def _has_no_number(value: Any) -> bool:
    """Whether there is NaN or infinity in it, which orjson would write as null."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_no_number, value.values()))
    return isinstance(value, list) and any(map(_has_no_number, value))


def _in_words(value: Any) -> Any:
    """Beside NaN or a number beyond all measure a decimal may lose digits."""
    return float(value) if isinstance(value, Decimal) else _more(value)


def _more(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}" if value.is_finite() else "NaN")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if len(value) == 16 else value.hex()
    raise TypeError
