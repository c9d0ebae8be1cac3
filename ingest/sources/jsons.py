"""JSON: an array of events, or one event, which counts as an array of one.

An event is an object with the columns of an event as its fields, `properties` optional, no others.
`user_id` may be an integer of any size and becomes its decimal text. Of a field given twice the
last counts. Numbers in `properties` keep their value to the last digit: where orjson would round
one (integers beyond 64 bits, more digits than a float holds), the input is read again by the
standard library, which leaves numbers as they are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from analytics.errors import InvalidInput
from analytics.events import COLUMNS, REQUIRED_COLUMNS
from ingest.errors import InvalidJson
from ingest.identifiers import parse_uuid
from ingest.properties import EMPTY, MAX_DEPTH
from ingest.rejects import MAX_RAW_CHARACTERS, Code, Reject, Unit, shortened, shown
from ingest.sources.compression import ByteStream
from ingest.sources.source import NO_OPTIONS, Place, RawBatch, SourceOptions

MAX_JSON_BYTES: Final = 256 << 20
"""A JSON array is held in memory as a whole; larger ones have to come in another format."""

_CHUNK_BYTES: Final = 1 << 20
# What numbers are made of, each kind by one byte; what may stand before a number, too.
_KINDS: Final = bytes(
    b"0"[0] if byte in b"0123456789."
    else b"e"[0] if byte in b"eE"
    else b"-"[0] if byte in b"+-"
    else b","[0] if byte in b",:[ \t\r\n"
    else b"x"[0]
    for byte in range(256)
)  # fmt: skip
_LONG: Final = b"0" * 17
_FAR: Final = (b"e000", b"e-000")
_BOM: Final = b"\xef\xbb\xbf"
_MAX_INT_DIGITS: Final = 4_300  # Python's own bound; longer than any user_id may be
_TYPES: Final = {str: "a string", bool: "a boolean", list: "an array", dict: "an object"}


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as it is written."""

    text: str


class JsonSource:
    """Events of a JSON body. Positions are indices, from 0. All of it is in memory."""

    ignored_columns: tuple[str, ...] = ()

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        self._stream = stream
        self._options = options

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """The events in order, at most `max_rows` at a time.

        Raises:
            InvalidJson: The input is not JSON, or neither an array nor an object.
        """
        body = _whole(self._stream)
        elements = _elements(body)
        unread = len(body)
        for first in range(0, len(elements), max_rows):
            yield _batch(elements[first : first + max_rows], first, unread)
            unread = 0


def read_json(body: bytes) -> RawBatch:
    """All events of a body.

    Raises:
        InvalidJson: The input is not JSON, or neither an array nor an object.
    """
    return _batch(_elements(body), 0, len(body))


def _whole(stream: ByteStream) -> bytes:
    body = bytearray()
    while chunk := stream.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise InvalidInput(
                f"The JSON file is larger than {MAX_JSON_BYTES >> 20} MiB; split it, or make it CSV"
            )
    return bytes(body)


def _elements(body: bytes) -> list[Any]:
    body = body.removeprefix(_BOM)
    try:
        value = orjson.loads(body)
        if _may_be_rounded(body):
            value = json.loads(body, parse_int=_Number, parse_float=_Number)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(_not_json(body, error)) from error
    except RecursionError as error:
        raise InvalidJson("The input nests objects and arrays too deep") from error
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise InvalidJson(
            f"The input is JSON, but {_type_of(value)}; send an array of events, or one event"
        )
    return value


def _may_be_rounded(body: bytes) -> bool:
    """Whether some number may not come out of a float, or out of 64 bits, as it was written.

    Up to 15 digits a float gives back what was written, and up to 16 an integer fits 64 bits. UUIDs
    are full of what looks like exponents, so what stands before the digits is looked at too.
    """
    kinds = body.translate(_KINDS)
    if _LONG in kinds:
        return True
    for exponent in _FAR:
        place = kinds.find(exponent)
        while place >= 0:
            before = kinds[max(place - len(_LONG) - 1, 0) : place].rstrip(b"0").removesuffix(b"-")
            if not before or before.endswith(b","):
                return True
            place = kinds.find(exponent, place + 1)
    return False


def _not_json(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "The input is empty; send a JSON array of events, or one event"
    try:
        body.decode()
    except UnicodeDecodeError as problem:
        return f"The input is not UTF-8 text: byte {problem.start + 1} can't be read; send UTF-8"
    return (
        f"The input is not JSON: {error.msg} at line {error.lineno}, column {error.colno}; send a"
        " JSON array of events, or one event"
    )


def _batch(elements: Sequence[Any], first: int, bytes_read: int) -> RawBatch:
    def place(index: int) -> Place:
        return Place(first + index, _raw(elements[index]))

    columns = _columns(elements)
    if columns is not None:
        return RawBatch(
            {name: pa.array(texts, pa.string()) for name, texts in columns.items()},
            Unit.INDEX,
            lambda wanted: list(map(place, wanted)),
            (),
            bytes_read,
        )
    columns = {name: [] for name in COLUMNS}
    rows: list[int] = []
    rejects: list[Reject] = []
    for index, element in enumerate(elements):
        texts = _texts(element)
        if isinstance(texts, _Fault):
            rejects.append(_reject(place(index), element, texts))
            continue
        rows.append(index)
        for column, text in zip(columns.values(), texts, strict=True):
            column.append(text)
    return RawBatch(
        {name: pa.array(texts, pa.string()) for name, texts in columns.items()},
        Unit.INDEX,
        lambda wanted: [place(rows[row]) for row in wanted],
        tuple(rejects),
        bytes_read,
    )


def _columns(elements: Sequence[Any]) -> dict[str, list[str]] | None:
    """The fields of all elements, column by column; None if one of them may be no event.

    A column at a time takes a quarter of what looking at each element's fields does.
    """
    if set(map(type, elements)) - {dict} or set[str]().union(*elements) - set(COLUMNS):
        return None
    try:
        found = {name: [element[name] for element in elements] for name in REQUIRED_COLUMNS}
    except KeyError:
        return None
    types = {name: set(map(type, values)) for name, values in found.items()}
    if types["user_id"] == {int} or types["user_id"] == {int, str}:
        found["user_id"] = list(map(str, found["user_id"]))
        types["user_id"] = {str}
    properties = [element.get("properties") for element in elements]
    if set().union(*types.values()) - {str} or set(map(type, properties)) - {dict, type(None)}:
        return None
    written = [text for value in properties if (text := _written(value) if value else EMPTY)]
    return {**found, "properties": written} if len(written) == len(elements) else None


class _Fault(NamedTuple):
    code: Code
    field: str | None
    message: str


def _texts(element: Any) -> tuple[str, str, str, str, str] | _Fault:
    """An event's fields as texts, in the order of COLUMNS, or why it has none."""
    fault = _shape_fault(element) or _required_fault(element)
    if fault is not None:
        return fault
    properties = element.get("properties")
    if not isinstance(properties, dict | None):
        message = f"properties is {_type_of(properties)}; it must be an object"
        return _Fault(Code.INVALID_PROPERTIES, "properties", message)
    written = _written(properties) if properties else EMPTY
    if written is None:
        message = f"properties nests objects and arrays more than {MAX_DEPTH} levels deep"
        return _Fault(Code.TOO_DEEP, "properties", message)
    user_id = _decimal(element["user_id"])
    return element["event_id"], element["occurred_at"], user_id, element["event_type"], written


def _shape_fault(element: Any) -> _Fault | None:
    if not isinstance(element, dict):
        message = f"the element is {_type_of(element)}; an event is an object"
        return _Fault(Code.NOT_AN_OBJECT, None, message)
    unknown = next((name for name in element if name not in COLUMNS), None)
    if unknown is None:
        return None
    message = f"events have no field {shown(unknown)}; what is your own goes into properties"
    return _Fault(Code.UNKNOWN_FIELD, unknown, message)


def _required_fault(element: dict[str, Any]) -> _Fault | None:
    for name in REQUIRED_COLUMNS:
        value = element.get(name)
        if value is None:
            state = "null" if name in element else "missing"
            return _Fault(Code.MISSING_FIELD, name, f"{name} is {state}; every event has one")
        if name == "user_id" and _is_integer(value):
            continue
        if not isinstance(value, str):
            also = " or an integer" if name == "user_id" else ""
            return _wrong_type(name, value, f"a string{also}")
    return None


def _is_integer(value: Any) -> bool:
    if isinstance(value, _Number):
        return value.text.removeprefix("-").isdigit()
    return isinstance(value, int) and not isinstance(value, bool)


def _decimal(user_id: Any) -> str:
    if isinstance(user_id, _Number):
        return user_id.text if len(user_id.text) > _MAX_INT_DIGITS else str(int(user_id.text))
    return str(user_id)


def _wrong_type(name: str, value: Any, allowed: str) -> _Fault:
    return _Fault(Code.WRONG_TYPE, name, f"{name} is {_type_of(value)}; it must be {allowed}")


def _type_of(value: Any) -> str:
    if isinstance(value, int | float | _Number) and not isinstance(value, bool):
        return f"the number {shortened(_written(value) or '')}"
    return _TYPES.get(type(value), "null")


def _written(value: Any) -> str | None:
    """The value as JSON, or None if it nests too deep for that (far beyond MAX_DEPTH)."""
    try:
        return orjson.dumps(value, _as_written, orjson.OPT_PASSTHROUGH_DATACLASS).decode()
    except orjson.JSONEncodeError:
        return None


def _as_written(number: _Number) -> orjson.Fragment:
    return orjson.Fragment(number.text)


def _raw(element: Any) -> str:
    return shortened(_written(element) or "(nested too deep to show)", MAX_RAW_CHARACTERS)


def _reject(place: Place, element: Any, fault: _Fault) -> Reject:
    spelt = element.get("event_id") if isinstance(element, dict) else None
    return Reject(
        position=place.position,
        unit=Unit.INDEX,
        code=fault.code,
        field=fault.field,
        message=fault.message,
        event_id=parse_uuid(spelt) if isinstance(spelt, str) else None,
        raw=place.raw,
    )
