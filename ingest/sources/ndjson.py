"""NDJSON: a JSON object on each line, an event each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from analytics.errors import InvalidInput
from ingest.errors import InvalidJson
from ingest.rejects import Unit
from ingest.sources.announced import refuse_other_content
from ingest.sources.compression import ByteStream
from ingest.sources.json_events import Elements, batch_of, decoded_all, raw_text
from ingest.sources.source import NO_OPTIONS, RawBatch, SourceOptions

BLOCK_BYTES: Final = 4 << 20
MAX_LINE_BYTES: Final = 16 << 20

_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r"


class NdjsonSource:
    """Events of an NDJSON stream. Positions are lines, from 1; blank lines are no rows.

    A line that is not JSON is rejected by itself.
    """

    ignored_columns: tuple[str, ...] = ()

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        self._stream = stream
        self._options = options
        self._read = 0

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """The events in order, at most `max_rows` at a time.

        Raises:
            InvalidInput: The input is of another kind, breaks off, or a line is too long.
        """
        number, told = 1, 0
        for block in self._blocks():
            lines = [line.strip(_SPACE) for line in block.split(b"\n")]
            for first in range(0, len(lines), max_rows):
                some = lines[first : first + max_rows]
                yield _batch(some, number + first, self._read - told, self._options)
                told = self._read
            number += len(lines)

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines, the end of the last left out."""
        data = b""
        begun = False
        while chunk := self._stream.read(max(BLOCK_BYTES - len(data), len(data), 1)):
            self._read += len(chunk)
            data += chunk
            if len(data) < BLOCK_BYTES:
                continue
            if not begun:
                data, begun = _begun(data), True
            head, _, data = data.rpartition(b"\n")
            if head:
                yield head
            if len(data) >= MAX_LINE_BYTES:
                raise InvalidInput(
                    f"A line is longer than {MAX_LINE_BYTES >> 20} MiB; NDJSON has an event on each"
                )
        if data:
            yield (data if begun else _begun(data)).removesuffix(b"\n")


def _begun(data: bytes) -> bytes:
    """The first bytes, without a byte order mark, if they aren't of another format."""
    refuse_other_content(data)
    data = data.removeprefix(_BOM)
    if data.lstrip().startswith(b"["):
        raise InvalidJson(
            "The input begins with [, as a JSON array does; NDJSON has an object on each line:"
            " name it .json, or --format json"
        )
    return data


def _batch(lines: list[bytes], first: int, bytes_read: int, options: SourceOptions) -> RawBatch:
    places = [place for place, line in enumerate(lines) if line]
    texts = lines if len(places) == len(lines) else [lines[place] for place in places]
    positions = [first + place for place in places]
    raw = partial(raw_text, texts)
    elements = Elements(decoded_all(texts), positions, Unit.LINE, raw, bytes_read)
    return batch_of(elements, options.columns)
