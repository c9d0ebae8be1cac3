"""A stream of bytes cut into whole CSV records (RFC 4180), each with its line number.

pyarrow.csv reads cells fast, but it knows no line numbers, takes `"a"b` for `ab` and an unclosed
quote for the end of the file, and fails on a record longer than its block. So this module finds
where records end, before anything looks into them. In a regular block every quote opens or closes a
cell as RFC 4180 has it; then a newline ends a record exactly if an even number of quotes stands
before it, which numpy counts at gigabytes a second. An irregular block is walked record by record
in Python.

A quote inside a cell that doesn't begin with one is an ordinary character, as for Python and
pyarrow. A record that can't be read ends with its line, so the next line is read again.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from analytics.errors import InvalidInput
from ingest.sources.compression import ByteStream

MIN_BLOCK_BYTES: Final = 64 << 10
MAX_BLOCK_BYTES: Final = 4 << 20
MAX_RECORD_BYTES: Final = 16 << 20

_USUAL_BYTES: Final = 128  # of a record; only sets how much is read at a time
Offsets = npt.NDArray[np.int64]

_QUOTE, _NEWLINE, _RETURN, _COMMA = b'"\n\r,'
_MAY_OPEN: Final = np.isin(np.arange(256), [_COMMA, _NEWLINE, _QUOTE])  # what stands before a quote
_MAY_CLOSE: Final = np.isin(np.arange(256), [_COMMA, _NEWLINE, _QUOTE, _RETURN])  # what after one
_QUOTED: Final = re.compile(rb'[^"]*+(?:""[^"]*+)*+')
_PLAIN: Final = re.compile(rb'(?:[^",\r\n][^,\r\n]*+)?+')


@dataclass(frozen=True, slots=True)
class RegularBlock:
    """Whole records that keep to RFC 4180.

    Attributes:
        data: The records; the last ends with a newline.
        line: Number of the line that `data` begins with.
        quotes: Offsets of all quotes.
        ends: Offset behind each record, blank lines included.
    """

    data: bytes
    line: int
    quotes: Offsets
    ends: Offsets


@dataclass(frozen=True, slots=True)
class Record:
    """One record: where it stands in its block, and its cells, or None if its quoting is broken."""

    start: int
    end: int
    cells: list[bytes] | None


@dataclass(frozen=True, slots=True)
class IrregularBlock:
    """Whole records of which some do not keep to RFC 4180; blank lines are left out."""

    data: bytes
    line: int
    records: list[Record]


Block = RegularBlock | IrregularBlock


class Records:
    """The records of a stream: first the header, then the others in blocks.

    Attributes:
        bytes_read: How much of the stream was read so far.
    """

    def __init__(self, stream: ByteStream, max_records: int) -> None:
        self._stream = stream
        self._max_records = max_records
        self._block_bytes = max(MIN_BLOCK_BYTES, min(MAX_BLOCK_BYTES, max_records * _USUAL_BYTES))
        self._data = b""
        self._line = 1
        self._ended = False
        self.bytes_read = 0

    def header(self) -> list[bytes] | None:
        """The cells of the first record that isn't a blank line; None if there is no record.

        A byte order mark before it is left out.

        Raises:
            InvalidInput: Its quoting is broken, or it is longer than MAX_RECORD_BYTES.
        """
        while len(self._data) < len(codecs.BOM_UTF8) and self._more():
            pass
        self._data = self._data.removeprefix(codecs.BOM_UTF8)
        while self._data or self._more():
            first = read_record(self._data, 0, ended=self._ended)
            if first is None and len(self._data) < MAX_RECORD_BYTES:
                self._more()
            elif first is None or first.cells is None:
                raise InvalidInput(self._broken_header())
            else:
                blank = _is_blank(self._data, first)
                self._take(first.end)
                if not blank:
                    return first.cells
        return None

    def blocks(self) -> Iterator[Block]:
        """The records after the header, in order, at most `max_records` in a block.

        Raises:
            InvalidInput: A line is longer than MAX_RECORD_BYTES, or the stream can't be read.
        """
        while self._data or self._more():
            if len(self._data) < self._block_bytes and self._more():
                continue
            block: Block = self._regular() or self._walk()
            if len(block.data):
                self._take(len(block.data))
                yield block
            else:
                self._more()

    def _more(self) -> bool:
        """Reads on, the more the longer the record at hand is; False at the end."""
        if self._ended:
            return False
        chunk = self._stream.read(max(self._block_bytes - len(self._data), len(self._data), 1))
        self.bytes_read += len(chunk)
        if chunk:
            self._data += chunk
            return True
        self._ended = True
        if self._data and self._data[-1] != _NEWLINE:
            self._data += b"\n"
        return False

    def _take(self, size: int) -> None:
        self._line += self._data.count(b"\n", 0, size)
        self._data = self._data[size:]

    def _regular(self) -> RegularBlock | None:
        """All whole records at hand, if they are regular.

        No record at all counts as regular while the quotes so far are: it may only be a long one.
        """
        characters = np.frombuffer(self._data, np.uint8)
        quotes = np.flatnonzero(characters == _QUOTE)
        newlines = np.flatnonzero(characters == _NEWLINE)
        ends = newlines[(np.searchsorted(quotes, newlines) & 1) == 0][: self._max_records] + 1
        size = int(ends[-1]) if len(ends) else 0
        if not size and (self._ended or len(self._data) >= MAX_RECORD_BYTES):
            return None
        seen = size or len(self._data) - 1
        quotes = quotes[: np.searchsorted(quotes, seen)]
        if not _keeps_to_rules(characters[: seen + 1], quotes):
            return None
        return RegularBlock(self._data[:size], self._line, quotes, ends)

    def _walk(self) -> IrregularBlock:
        """All whole records at hand, read one by one."""
        records: list[Record] = []
        position, size = 0, len(self._data)
        while position < size and len(records) < self._max_records:
            record = read_record(self._data, position, ended=self._ended)
            if record is None:
                if size - position < MAX_RECORD_BYTES:
                    break
                record = _broken(self._data, position)
                if record is None:
                    raise InvalidInput(self._endless_line(position))
            if not _is_blank(self._data, record):
                records.append(record)
            position = record.end
        return IrregularBlock(self._data[:position], self._line, records)

    def _endless_line(self, position: int) -> str:
        line = self._line + self._data.count(b"\n", 0, position)
        return (
            f"Line {line} is longer than {MAX_RECORD_BYTES >> 20} MiB; is this a CSV file, with \\n"
            " or \\r\\n at the end of each line?"
        )

    def _broken_header(self) -> str:
        if b"\r" in self._data and b"\n" not in self._data[:-1]:
            return (
                "The lines end with a carriage return alone; save the file with \\n or \\r\\n at"
                " the end of each line"
            )
        return f"Line {self._line}, the header, has a quote that isn't closed or stands in the way"


def _keeps_to_rules(characters: npt.NDArray[np.uint8], quotes: Offsets) -> bool:
    r"""Whether each quote opens or closes a cell and each \r outside quotes stands before a \n.

    The last character of `characters` only serves as what follows the others.
    """
    opening, closing = quotes[0::2], quotes[1::2]
    before = opening[1:] if len(opening) and opening[0] == 0 else opening
    if not _MAY_OPEN[characters[before - 1]].all():
        return False
    last = len(characters) - 1
    if not _MAY_CLOSE[characters[np.minimum(closing + 1, last)]].all():
        return False
    returns = np.flatnonzero(characters[:last] == _RETURN)
    alone = returns[characters[returns + 1] != _NEWLINE]
    return bool((np.searchsorted(quotes, alone) & 1).all())


def read_record(data: bytes, start: int, *, ended: bool = True) -> Record | None:
    """The record that begins at `start`; None if `data` may not hold all of it yet.

    `ended` says that nothing comes after `data`, which then ends with a newline.
    """
    cells: list[bytes] = []
    position, size = start, len(data)
    while position < size:
        if data[position] == _QUOTE:
            quoted = _QUOTED.match(data, position + 1)
            end = quoted.end() if quoted else size
            if end + 1 >= size:  # the closing quote may be the first half of a doubled one
                break
            cells.append(data[position + 1 : end].replace(b'""', b'"'))
            position = end + 1
        else:
            plain = _PLAIN.match(data, position)
            end = plain.end() if plain else size
            cells.append(data[position:end])
            position = end
            if position == size:
                break
        if data[position] == _COMMA:
            position += 1
        elif data[position] == _NEWLINE:
            return Record(start, position + 1, cells)
        elif data[position : position + 2] == b"\r\n":
            return Record(start, position + 2, cells)
        elif data[position] == _RETURN and position + 1 == size and not ended:
            return None
        else:
            return _broken(data, start)
    return _broken(data, start) if ended else None


def _is_blank(data: bytes, record: Record) -> bool:
    return data[record.start : record.end] in {b"\n", b"\r\n"}


def _broken(data: bytes, start: int) -> Record | None:
    """The line that begins at `start` as a record without cells; None if it has no end."""
    end = data.find(b"\n", start) + 1
    return Record(start, end, None) if end else None


def as_irregular(block: RegularBlock) -> IrregularBlock:
    """The same records, read one by one."""
    starts = [0, *block.ends[:-1].tolist()]
    records = [record for start in starts if (record := read_record(block.data, start))]
    kept = [record for record in records if not _is_blank(block.data, record)]
    return IrregularBlock(block.data, block.line, kept)
