"""The cells of a block of CSV records, and which of the records can't be read as a row.

Records that can't be read are set apart with their reason; the others become columns of text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analytics.errors import InvalidInput
from ingest.columns import Selection
from ingest.identifiers import parse_uuid
from ingest.rejects import MAX_RAW_CHARACTERS, Code, Reject, Unit, shortened, shown
from ingest.rest import fold
from ingest.sources.records import Block, Offsets, read_record
from ingest.sources.source import Place, RawBatch

_NEWLINE: Final = ord("\n")
_MAX_CHARACTER_BYTES: Final = 4
_BROKEN: Final = (
    "a quote is not closed, or something other than a comma or the end of the line follows it; put"
    ' a cell with commas, quotes or line ends into "quotes", and double each quote inside'
)


class Fault(NamedTuple):
    """Why a record is no row."""

    code: Code
    field: str | None
    message: str


def broken_quoting() -> Fault:
    """For a record that doesn't fall into cells."""
    return Fault(Code.BROKEN_QUOTING, None, _BROKEN)


def wrong_cell_count(given: int, width: int) -> Fault:
    """For a record whose cells aren't as many as the header's."""
    return Fault(
        Code.WRONG_CELL_COUNT, None, f"the row has {_cells(given)}, the header has {_cells(width)}"
    )


@dataclass(slots=True)
class Cells:
    """The records of a block, in the file's order.

    Attributes:
        block: The bytes that all offsets are about.
        starts: Where each record begins.
        ends: The offset behind each record.
        rows: Which record each row of the columns is.
        columns: Place of a cell in its record -> the cells: bytes, and text in the end.
        selection: Which cells are there, and what they are.
        faults: Record -> what is wrong with it; all records that are not in `rows`.
    """

    block: Block
    starts: Offsets
    ends: Offsets
    rows: Offsets
    columns: dict[int, pa.Array]
    selection: Selection
    faults: dict[int, Fault] = field(default_factory=dict)

    def set_headers_apart(self, names: Sequence[str]) -> None:
        """Files put one behind the other leave a header among the rows.

        Raises:
            InvalidInput: It names the columns in another order, so that the rows behind it would
                be misread.
        """
        header = [name.encode() for name in names]
        users = self.columns[self.selection.indices["user_id"]]
        suspects = pc.is_in(users, value_set=pa.array(header, pa.binary()))
        found: dict[int, Fault] = {}
        for row in np.flatnonzero(suspects.to_numpy(zero_copy_only=False)).tolist():
            cells = self._record(int(self.rows[row]))
            if cells == header:
                message = "the line is the header once more"
                found[row] = Fault(Code.REPEATED_HEADER, None, message)
            elif sorted(cells) == sorted(header):
                raise InvalidInput(
                    f"Line {self.locate([row])[0].position} is a header with the columns in another"
                    " order, as if two files were put one behind the other; load them one by one"
                )
        self._set_apart(found)

    def set_apart_what_is_not_utf8(self) -> None:
        """Makes the columns text, without the rows that aren't."""
        names = {place: name for name, place in self.selection.indices.items()}
        for place, name in (names | self.selection.rest).items():
            try:
                self.columns[place] = self.columns[place].cast(pa.string())
            except pa.ArrowInvalid:
                cells = self.columns[place].to_pylist()
                faults = map(_utf8_fault, [name] * len(cells), cells)
                self._set_apart({row: fault for row, fault in enumerate(faults) if fault})
                self.columns[place] = self.columns[place].cast(pa.string())

    def batch(self, bytes_read: int) -> RawBatch:
        """The rows, and what was set apart as rejects."""
        faulty = sorted(self.faults)
        rejects = [
            Reject(
                position=place.position,
                unit=Unit.LINE,
                code=self.faults[record].code,
                field=self.faults[record].field,
                message=self.faults[record].message,
                event_id=self._event_id(record),
                raw=place.raw,
            )
            for record, place in zip(faulty, self._places(faulty), strict=True)
        ]
        columns = {name: self.columns[place] for name, place in self.selection.indices.items()}
        if self.selection.rest:
            others = {name: self.columns[place] for place, name in self.selection.rest.items()}
            columns["properties"] = fold(columns.get("properties"), others)
        return RawBatch(columns, Unit.LINE, self.locate, tuple(rejects), bytes_read)

    def locate(self, rows: Sequence[int]) -> list[Place]:
        """The line that each of these rows begins on, and its text."""
        return self._places([int(self.rows[row]) for row in rows])

    def _places(self, records: Sequence[int]) -> list[Place]:
        if not records:
            return []
        newlines = np.flatnonzero(np.frombuffer(self.block.data, np.uint8) == _NEWLINE)
        lines = self.block.line + np.searchsorted(newlines, self.starts[records])
        texts = [self._text(record) for record in records]
        return [Place(line, text) for line, text in zip(lines.tolist(), texts, strict=True)]

    def _text(self, record: int) -> str:
        start, end = int(self.starts[record]), int(self.ends[record])
        # One byte more than is shown, so that shortened() sees that there is more.
        most = (MAX_RAW_CHARACTERS + 1) * _MAX_CHARACTER_BYTES
        raw = self.block.data[start : min(end, start + most)].rstrip(b"\r\n")
        return shortened(raw.decode(errors="backslashreplace"), MAX_RAW_CHARACTERS)

    def _record(self, record: int) -> list[bytes]:
        found = read_record(self.block.data, int(self.starts[record]))
        return (found.cells if found else None) or []

    def _event_id(self, record: int) -> UUID | None:
        cells, place = self._record(record), self.selection.indices.get("event_id")
        if place is None or len(cells) <= place:
            return None
        return parse_uuid(cells[place].decode(errors="replace"))

    def _set_apart(self, faults: Mapping[int, Fault]) -> None:
        """Takes these rows out of the columns."""
        if not faults:
            return
        self.faults.update((int(self.rows[row]), fault) for row, fault in faults.items())
        keep = np.ones(len(self.rows), bool)
        keep[list(faults)] = False
        self.rows = self.rows[keep]
        mask = pa.array(keep)
        self.columns = {place: column.filter(mask) for place, column in self.columns.items()}


def _utf8_fault(name: str, cell: bytes) -> Fault | None:
    try:
        cell.decode()
    except UnicodeDecodeError as error:
        near = cell[max(error.start - 20, 0) : error.start + 20].decode(errors="backslashreplace")
        message = f"{name} is not UTF-8 text, near {shown(near)}; save the file as UTF-8"
        return Fault(Code.INVALID_UTF8, name, message)
    return None


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"
