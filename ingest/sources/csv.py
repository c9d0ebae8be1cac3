"""CSV files (RFC 4180) with a header, as raw columns of text.

Every cell is text: no type is guessed, and an empty cell is an empty text. Columns come in any
order. Where records end is settled by `records`; cells are read by pyarrow, and by Python in the
blocks that pyarrow would misread.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv

from analytics.errors import InvalidInput
from ingest.columns import Selection, select_columns
from ingest.sources.announced import refuse_other_content
from ingest.sources.cells import Cells, broken_quoting, wrong_cell_count
from ingest.sources.compression import ByteStream
from ingest.sources.records import (
    IrregularBlock,
    Offsets,
    Records,
    RegularBlock,
    as_irregular,
)
from ingest.sources.source import NO_OPTIONS, RawBatch, SourceOptions

_COMMA, _RETURN = b",\r"


class CsvSource:
    """Events in a CSV stream. Positions are lines of the file, the header's being 1."""

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        self._stream = stream
        self._options = options
        self._ignored: tuple[str, ...] = ()

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that events don't have, in the file's order."""
        return self._ignored

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """The rows in order, at most `max_rows` at a time.

        Raises:
            InvalidInput: There is no header as it should be, the stream can't be read (any
                further), or a line is too long.
        """
        records = Records(self._stream, max_rows)
        names = _header(records)
        selection = select_columns(names, self._options.columns)
        self._ignored = selection.ignored
        told = 0
        for block in records.blocks():
            cells = read_cells(block, selection)
            cells.set_headers_apart(names)
            cells.set_apart_what_is_not_utf8()
            yield cells.batch(records.bytes_read - told)
            told = records.bytes_read


def read_cells(block: RegularBlock | IrregularBlock, selection: Selection) -> Cells:
    """The cells of a block, with the records that have none, or too few or many, set apart."""
    if isinstance(block, IrregularBlock):
        return _read_irregular(block, selection)
    # Both agree on every regular block that the tests tried; should they not, Python is right.
    return _read_regular(block, selection) or _read_irregular(as_irregular(block), selection)


def _header(records: Records) -> list[str]:
    cells = records.header()
    if cells is None:
        raise InvalidInput(
            "The file is empty; a file of events begins with a header that names its columns"
        )
    refuse_other_content(cells[0])
    try:
        return [cell.decode() for cell in cells]
    except UnicodeDecodeError as error:
        raise InvalidInput("The header is not UTF-8 text; save the file as UTF-8") from error


def _read_regular(block: RegularBlock, selection: Selection) -> Cells | None:
    """By pyarrow; None if it counts other rows than there are."""
    characters = np.frombuffer(block.data, np.uint8)
    starts, ends = np.concatenate([[0], block.ends[:-1]]), block.ends
    blank = (ends - starts == 1) | ((ends - starts == 2) & (characters[starts] == _RETURN))
    if blank.any():
        starts, ends = starts[~blank], ends[~blank]
    rows, faults = np.arange(len(starts)), {}
    columns = _parse(block.data, selection)
    if columns is None:
        counts = _count_cells(characters, block.quotes, starts, ends)
        fits = counts == selection.width
        faults = {
            record: wrong_cell_count(int(counts[record]), selection.width)
            for record in rows[~fits].tolist()
        }
        rows = rows[fits]
        columns = _parse(_without(block.data, starts[~fits], ends[~fits]), selection)
    if columns is None or any(len(column) != len(rows) for column in columns.values()):
        return None
    return Cells(block, starts, ends, rows, columns, selection, faults)


def _parse(data: bytes, selection: Selection) -> dict[int, pa.Array] | None:
    """The selected columns; None if some row has more or fewer cells than the header.

    pyarrow could skip such rows and tell of each, but gives up on those that are not UTF-8.
    """
    wanted = [str(index) for index in selection.places]
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=len(data) + 1,
                column_names=[str(index) for index in range(selection.width)],
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.binary()),
            ),
        )
    except pa.ArrowInvalid:
        return None
    return {index: _one_chunk(table.column(str(index))) for index in selection.places}


def _without(data: bytes, starts: Offsets, ends: Offsets) -> bytes:
    """The data less some records."""
    froms, tos = [0, *ends.tolist()], [*starts.tolist(), len(data)]
    # A line end alone is skipped; of no data at all pyarrow would complain.
    return b"\n" + b"".join(data[start:end] for start, end in zip(froms, tos, strict=True))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _count_cells(
    characters: np.ndarray[tuple[int], np.dtype[np.uint8]],
    quotes: Offsets,
    starts: Offsets,
    ends: Offsets,
) -> Offsets:
    """How many cells each record of a regular block has."""
    commas = np.flatnonzero(characters == _COMMA)
    between = commas[(np.searchsorted(quotes, commas) & 1) == 0]
    return np.searchsorted(between, ends) - np.searchsorted(between, starts) + 1


def _read_irregular(block: IrregularBlock, selection: Selection) -> Cells:
    """Record by record."""
    faults = {}
    rows: list[int] = []
    taken: list[list[bytes]] = []
    for number, record in enumerate(block.records):
        if record.cells is None:
            faults[number] = broken_quoting()
        elif len(record.cells) != selection.width:
            faults[number] = wrong_cell_count(len(record.cells), selection.width)
        else:
            rows.append(number)
            taken.append(record.cells)
    return Cells(
        block,
        np.array([record.start for record in block.records], np.int64),
        np.array([record.end for record in block.records], np.int64),
        np.array(rows, np.int64),
        {
            index: pa.array([cells[index] for cells in taken], pa.binary())
            for index in selection.places
        },
        selection,
        faults,
    )
