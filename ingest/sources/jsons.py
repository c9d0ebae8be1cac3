"""JSON: an array of events, or one event, which counts as an array of one.

A body comes as a whole, a file of any size in blocks of whole elements. Which fields an event has
is the matter of `json_events`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import orjson

from ingest.columns import AS_NAMED, ColumnOptions
from ingest.errors import InvalidJson
from ingest.rejects import Unit
from ingest.sources.compression import ByteStream
from ingest.sources.json_elements import JsonElements
from ingest.sources.json_events import (
    Elements,
    batch_of,
    decoded,
    decoded_or_broken,
    raw_of,
    raw_text,
    type_of,
)
from ingest.sources.source import NO_OPTIONS, RawBatch, SourceOptions

_BOM: Final = b"\xef\xbb\xbf"


class JsonSource:
    """Events of a JSON array. Positions are indices, from 0.

    An element that is not JSON is rejected by itself, as long as its brackets and quotes are whole.
    """

    ignored_columns: tuple[str, ...] = ()

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        self._stream = stream
        self._options = options

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """The events in order, at most `max_rows` at a time.

        Raises:
            InvalidInput: The input is neither an array nor an object, breaks off, or holds an
                element that is too long.
        """
        position = 0
        for block in JsonElements(self._stream, max_rows).blocks():
            values = _values(block.elements)
            positions = range(position, position + len(values))
            position += len(values)
            raw = partial(raw_text, block.elements)
            elements = Elements(values, positions, Unit.INDEX, raw, block.bytes_read)
            yield batch_of(elements, self._options.columns)


def read_json(body: bytes, options: ColumnOptions = AS_NAMED) -> RawBatch:
    """All events of a body.

    Raises:
        InvalidJson: The input is not JSON, or neither an array nor an object.
    """
    values = _array(body)
    elements = Elements(values, range(len(values)), Unit.INDEX, raw_of(values), len(body))
    return batch_of(elements, options)


def _values(texts: list[bytes]) -> list[Any]:
    try:
        values: list[Any] = decoded(b"[" + b",".join(texts) + b"]")
    except (orjson.JSONDecodeError, RecursionError):
        values = []
    # Equal numbers mean equal elements: they were cut at commas outside quotes and brackets.
    return values if len(values) == len(texts) else list(map(decoded_or_broken, texts))


def _array(body: bytes) -> list[Any]:
    body = body.removeprefix(_BOM)
    try:
        value = decoded(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(_not_json(body, error)) from error
    except RecursionError as error:
        raise InvalidJson("The input nests objects and arrays too deep") from error
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise InvalidJson(
            f"The input is JSON, but {type_of(value)}; send an array of events, or one event"
        )
    return value


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
