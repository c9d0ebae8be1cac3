"""Which Arrow types the columns of an event may come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa

from analytics.errors import InvalidInput
from ingest.json_texts import is_text
from ingest.rejects import in_line

_UUID_BYTES: Final = 16
_ALLOWED: Final = {
    "event_id": "16 bytes, text or an integer",
    "occurred_at": "a timestamp, or text like 2025-08-01T10:15:00Z",
    "user_id": "text or an integer",
    "event_type": "text",
    "properties": "JSON text, a struct, or a map with keys of text",
}


def check_type(column: str, given: pa.Field) -> None:
    """Whether values of the type can be those of an event's column.

    Raises:
        InvalidInput: They can't; the message says what can.
        UnicodeDecodeError: A time zone's name is not UTF-8.
    """
    if not _TESTS[column](given.type):
        raise InvalidInput(
            f"The column {in_line(given.name)} is {in_line(str(given.type))}; {column} may be"
            f" {_ALLOWED[column]}: cast it before writing the file",
            field=column,
        )


def is_jsonable(kind: pa.DataType) -> bool:
    """Whether values of the type have a JSON text.

    Raises:
        UnicodeDecodeError: A time zone's name is not UTF-8.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return is_jsonable(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return is_jsonable(kind.value_type)
    if pa.types.is_struct(kind):
        return all(is_jsonable(kind.field(index).type) for index in range(kind.num_fields))
    if pa.types.is_map(kind):
        return is_text(kind.key_type) and is_jsonable(kind.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return is_jsonable(kind.value_type)
    return is_text(kind) or any(test(kind) for test in _SIMPLE)


def _is_timestamp(kind: pa.DataType) -> bool:
    """Reads the zone's name too: it raises where it isn't UTF-8, here and not in later steps."""
    return bool(pa.types.is_timestamp(kind) and str(kind.tz))


_SIMPLE: Final[tuple[Callable[[pa.DataType], bool], ...]] = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_time,
    _is_timestamp,
    pa.types.is_duration,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)


def _is_id(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_fixed_size_binary(kind):
        return bool(kind.byte_width == _UUID_BYTES)
    return pa.types.is_binary(kind) or _is_text_or_integer(kind)


def _is_instant(kind: pa.DataType) -> bool:
    return _is_timestamp(kind) or _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _is_text_or_integer(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(is_text(value) or pa.types.is_integer(value))


def _is_properties(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.JsonType):
        return True
    return _is_text(kind) or (
        (pa.types.is_struct(kind) or pa.types.is_map(kind)) and is_jsonable(kind)
    )


_TESTS: Final[dict[str, Callable[[pa.DataType], bool]]] = {
    "event_id": _is_id,
    "occurred_at": _is_instant,
    "user_id": _is_text_or_integer,
    "event_type": _is_text,
    "properties": _is_properties,
}
