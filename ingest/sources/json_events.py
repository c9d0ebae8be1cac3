"""Decoded JSON values as columns of events, for bodies, arrays and lines alike.

An event is an object with the columns of an event as its fields, `properties` optional, no others
unless they are folded into properties. `event_id` and `user_id` may be integers of any size and
become their decimal text. Of a field given twice the last counts. Numbers in `properties` keep
their value to the last digit: where orjson would round one (integers beyond 64 bits, more digits
than a float holds), the input is read again by the standard library, which leaves numbers as they
are written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingest.columns import ColumnOptions
from ingest.identifiers import parse_uuid
from ingest.properties import EMPTY
from ingest.rejects import (
    MAX_RAW_CHARACTERS,
    REJECT_FIELD,
    Code,
    Reject,
    Unit,
    shortened,
    shown,
)
from ingest.rules import MAX_DEPTH
from ingest.sources.source import Place, RawBatch

# Up to 15 digits a float gives back what was written, and up to 16 an integer fits 64 bits. Hex
# digits of a UUID look like numbers too; but these stand behind a quote.
_MAY_BE_ROUNDED: Final = r"(?:^|[\s:,\[])-?[0-9](?:[0-9.]{16}|[0-9.]*[eE][+-]?[0-9]{3})"
_MAX_INT_DIGITS: Final = 4_300  # Python's own bound; longer than any user_id may be
_MAX_CHARACTER_BYTES: Final = 4
_MAY_BE_INTEGERS: Final = ("event_id", "user_id")
_TYPES: Final = {str: "a string", bool: "a boolean", list: "an array", dict: "an object"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """What should be a value and isn't JSON: why, for people."""

    message: str


@dataclass(frozen=True, slots=True)
class Elements:
    """Values that should be events.

    Attributes:
        values: As `decoded` gives them.
        positions: Where each stands, in `unit`.
        unit: What positions count.
        raw: The text of a value, by its place in `values`.
        bytes_read: How much of the input they took.
    """

    values: Sequence[Any]
    positions: Sequence[int]
    unit: Unit
    raw: Callable[[int], str]
    bytes_read: int


def decoded(text: bytes) -> Any:
    """The value of a JSON text; numbers that a float would round, and their like, as Number.

    Raises:
        orjson.JSONDecodeError: The text is not JSON.
        RecursionError: It nests too deep.
    """
    value = orjson.loads(text)
    return _exactly(text) if _may_be_rounded([text])[0] else value


def _exactly(text: bytes) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number)


def _may_be_rounded(texts: Sequence[bytes]) -> npt.NDArray[np.bool_]:
    """Which texts hold a number that orjson would round. By Arrow: `re` takes ten times as long."""
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(
        pa.array(texts, pa.large_binary()), _MAY_BE_ROUNDED
    ).to_numpy(zero_copy_only=False)
    return found


def decoded_all(texts: Sequence[bytes]) -> list[Any]:
    """The values of many JSON texts without line ends, Broken for those that have none."""
    try:
        values = list(map(orjson.loads, texts))
        for index in np.flatnonzero(_may_be_rounded(texts)).tolist():
            values[index] = _exactly(texts[index])
    except (orjson.JSONDecodeError, RecursionError):
        return list(map(decoded_or_broken, texts))
    return values


def decoded_or_broken(text: bytes) -> Any:
    """The value of a JSON text, or Broken if it has none."""
    try:
        return decoded(text)
    except orjson.JSONDecodeError as error:
        return Broken(_why_broken(text, error))
    except RecursionError:
        return Broken("nests objects and arrays too deep")


def _why_broken(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as problem:
        return f"is not UTF-8 text: byte {problem.start + 1} can't be read"
    return f"is not JSON: {error.msg} at character {error.pos + 1}" if text.strip() else "is empty"


def batch_of(elements: Elements, options: ColumnOptions) -> RawBatch:
    """The events among the elements as columns of text, the others as rejects."""
    texts = _at_once(elements.values, options)
    rows: Sequence[int] = range(len(elements.values))
    rejects: list[Reject] = []
    if texts is None:
        rows, texts = [], {name: [] for name in options.sources}
        for index, element in enumerate(elements.values):
            found = _fields(element, options)
            if isinstance(found, _Fault):
                rejects.append(_reject(elements, index, found))
                continue
            rows.append(index)
            for column, text in zip(texts.values(), found, strict=True):
                column.append(text)
    return RawBatch(
        {name: _text_column(column) for name, column in texts.items()},
        elements.unit,
        lambda wanted: [
            Place(elements.positions[rows[row]], elements.raw(rows[row])) for row in wanted
        ],
        tuple(rejects),
        elements.bytes_read,
    )


def _text_column(texts: list[Any]) -> pa.StringArray:
    return pa.array(texts, pa.string())


def _at_once(elements: Sequence[Any], options: ColumnOptions) -> dict[str, list[Any]] | None:
    """The columns if all elements are events of the usual kind, without a step for each in Python.

    None if some need to be looked at.
    """
    if options.rest or set(map(type, elements)) - {dict}:
        return None
    sources = options.sources
    if elements and not set().union(*elements) <= set(sources.values()):
        return None
    columns = {
        column: [element.get(name) for element in elements] for column, name in sources.items()
    }
    for column, values in columns.items():
        types = set(map(type, values))
        if column == "properties":
            if types - {dict, type(None)}:
                return None
            columns[column] = [written_json(value) if value else EMPTY for value in values]
            if None in columns[column]:
                return None
        elif types == {str, int} and column in _MAY_BE_INTEGERS:
            columns[column] = list(map(str, values))
        elif types - {str}:
            return None
    return columns


class _Fault(NamedTuple):
    code: Code
    field: str | None
    message: str


def _fields(element: Any, options: ColumnOptions) -> list[str] | _Fault:
    """An event's fields as texts, in the order of the options' sources, or why it has none."""
    if isinstance(element, Broken):
        return _Fault(Code.INVALID_JSON, None, f"the event {element.message}")
    if not isinstance(element, dict):
        message = f"the element is {type_of(element)}; an event is an object"
        return _Fault(Code.NOT_AN_OBJECT, None, message)
    sources = _names_of(element, options)
    others = {name: element[name] for name in element if name not in sources.values()}
    others.pop(REJECT_FIELD, None)
    if options.derive_ids:
        others.pop("event_id", None)
    fault = _unknown(others, options) or _required_fault(element, sources, options)
    if fault is not None:
        return fault
    properties = _properties(element.get(sources.get("properties", "")), others)
    if isinstance(properties, _Fault):
        return properties
    texts = {name: _text(element.get(source)) for name, source in sources.items()}
    texts["properties"] = properties
    return [texts[name] for name in options.sources]


def _names_of(element: dict[str, Any], options: ColumnOptions) -> dict[str, str]:
    """Column -> field. A reject has been written by us, by the names of an event."""
    if REJECT_FIELD in element:
        return {column: column for column in options.sources}
    return options.sources


def _unknown(others: dict[str, Any], options: ColumnOptions) -> _Fault | None:
    if options.rest or not others:
        return None
    name = next(iter(others))
    message = f"events have no field {shown(name)}; what is your own goes into properties"
    return _Fault(Code.UNKNOWN_FIELD, name, message)


def _required_fault(
    element: dict[str, Any], sources: dict[str, str], options: ColumnOptions
) -> _Fault | None:
    for column in options.required:
        name = sources[column]
        value = element.get(name)
        if value is None:
            state = "null" if name in element else "missing"
            return _Fault(Code.MISSING_FIELD, column, f"{name} is {state}; every event has one")
        if column in _MAY_BE_INTEGERS and _is_integer(value):
            continue
        if not isinstance(value, str):
            also = " or an integer" if column in _MAY_BE_INTEGERS else ""
            message = f"{name} is {type_of(value)}; it must be a string{also}"
            return _Fault(Code.WRONG_TYPE, column, message)
    return None


def _properties(properties: Any, others: dict[str, Any]) -> str | _Fault:
    if not isinstance(properties, dict | None):
        message = f"properties is {type_of(properties)}; it must be an object"
        return _Fault(Code.INVALID_PROPERTIES, "properties", message)
    value = others | (properties or {})
    text = written_json(value) if value else EMPTY
    if text is None:
        message = f"properties nests objects and arrays more than {MAX_DEPTH} levels deep"
        return _Fault(Code.TOO_DEEP, "properties", message)
    return text


def _is_integer(value: Any) -> bool:
    if isinstance(value, Number):
        return value.text.removeprefix("-").isdigit()
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, Number):
        return value.text if len(value.text) > _MAX_INT_DIGITS else str(int(value.text))
    return str(value)


def type_of(value: Any) -> str:
    """What a JSON value is, for people."""
    if isinstance(value, int | float | Number) and not isinstance(value, bool):
        return f"the number {shortened(written_json(value) or '')}"
    return _TYPES.get(type(value), "null")


def written_json(value: Any) -> str | None:
    """The value as JSON, or None if it nests too deep for that (far beyond MAX_DEPTH)."""
    try:
        return orjson.dumps(value, _as_written, orjson.OPT_PASSTHROUGH_DATACLASS).decode()
    except orjson.JSONEncodeError:
        return None


def raw_of(values: Sequence[Any]) -> Callable[[int], str]:
    """Texts of decoded values, written anew and shortened."""

    def raw(index: int) -> str:
        text = written_json(values[index])
        return shortened(text or "(nested too deep to show)", MAX_RAW_CHARACTERS)

    return raw


def raw_text(texts: Sequence[bytes], index: int) -> str:
    """One of these texts as it came, shortened."""
    text = texts[index].strip()[: (MAX_RAW_CHARACTERS + 1) * _MAX_CHARACTER_BYTES]
    return shortened(text.decode(errors="backslashreplace"), MAX_RAW_CHARACTERS)


def _as_written(number: Number) -> orjson.Fragment:
    return orjson.Fragment(number.text)


def _reject(elements: Elements, index: int, fault: _Fault) -> Reject:
    element = elements.values[index]
    spelt = element.get("event_id") if isinstance(element, dict) else None
    return Reject(
        position=elements.positions[index],
        unit=elements.unit,
        code=fault.code,
        field=fault.field,
        message=fault.message,
        event_id=parse_uuid(spelt) if isinstance(spelt, str) else None,
        raw=elements.raw(index),
        record=written_json(element) if isinstance(element, dict) else None,
    )
