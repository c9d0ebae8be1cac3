"""Parquet, from a file that can be read at any place.

Rows are decoded a thousand at a time, which costs no more than all at once, and batches are put
together from these. For a text that all rows share stands in the file once, and in memory as often
as there are rows: how many may be decoded is reckoned from how large the first of a row group are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.parquet

from analytics.errors import InvalidInput
from ingest.errors import ContentTooLarge
from ingest.sources.compression import ByteStream, CountedFile
from ingest.sources.damage import damage_told
from ingest.sources.parquet_pages import PageLimit
from ingest.sources.sizes import decoded_bytes
from ingest.sources.source import NO_OPTIONS, RawBatch, SourceOptions
from ingest.sources.tables import MAX_SLICE_BYTES, TableReader

_BUFFER_BYTES: Final = 1 << 20
_PROBED_ROWS: Final = 8
_DECODED_ROWS: Final = 1_024
_MAX_FOOTER_TEXT_BYTES: Final = 16 << 20
_WHAT: Final = "The Parquet data"


class ParquetSource:
    """Events of a Parquet file. Positions are rows, from 0."""

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        """Takes a file that can seek."""
        self._file = cast("BinaryIO", stream)
        self._input = CountedFile(self._file)
        self._options = options
        self._ignored: tuple[str, ...] = ()

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that events don't have, in the file's order."""
        return self._ignored

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """The rows in order, at most `max_rows` at a time.

        Raises:
            InvalidInput: The file is not Parquet, is damaged, breaks off, or lacks a column.
            ContentTooLarge: It holds more than it may.
        """
        with damage_told(_WHAT):
            file = pa.parquet.ParquetFile(
                pa.PythonFile(self._input, mode="r"),
                buffer_size=_BUFFER_BYTES,
                pre_buffer=False,
                thrift_string_size_limit=_MAX_FOOTER_TEXT_BYTES,
            )
            schema = file.schema_arrow
        table = TableReader(schema, self._options)
        self._ignored = table.selection.ignored
        self._refuse_large(file.metadata)
        names = [schema.field(place).name for place in table.selection.places]
        batches = self._batches(file, names, max_rows)
        yield from table.raw(batches, max_rows, lambda: self._input.bytes_read)

    def _batches(
        self, file: pa.parquet.ParquetFile, names: list[str], max_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """With the columns of these names, in their order."""
        pages = PageLimit(CountedFile(self._file), self._options.max_batch_bytes)
        leaves = _leaves(file, names)
        for group in range(file.num_row_groups):
            pages.check(group, leaves)
            for batch in _read(file, group, names, min(_PROBED_ROWS, max_rows)):
                row_bytes = sum(map(decoded_bytes, batch.columns)) // max(len(batch), 1)
                break
            else:
                continue
            size = max(1, min(max_rows, _DECODED_ROWS, MAX_SLICE_BYTES // max(row_bytes, 1)))
            for batch in _read(file, group, names, size):
                if batch.num_columns != len(names):
                    raise InvalidInput("Two columns have one name; leave one of the two out")
                yield batch.select(names)  # it came in the file's order

    def _refuse_large(self, metadata: pa.parquet.FileMetaData) -> None:
        """By what the footer says of its row groups.

        What it says of their columns is not asked: pyarrow's RowGroupMetaData.column() lets no C++
        exception through, and ends the process where one is damaged (its declaration has no
        `except +`, as of pyarrow 26). Reading the columns raises it as an error.
        """
        groups = range(metadata.num_row_groups)
        sizes = [metadata.row_group(number).total_byte_size for number in groups]
        if min(sizes, default=0) < 0:  # would make room for others in the total
            raise InvalidInput("The Parquet data is damaged; make the file anew")
        most = self._options.max_content_bytes
        total = sum(sizes)
        if most is not None and total > most:
            raise ContentTooLarge(
                f"The Parquet file holds {total:,} bytes, decompressed; it may hold {most:,}: send"
                " it in parts"
            )


def _leaves(file: pa.parquet.ParquetFile, names: list[str]) -> list[int]:
    """Which columns of the file these are: a struct's parts are columns of their own."""
    with damage_told(_WHAT):  # names in it may not be UTF-8
        paths = [file.schema.column(number).path for number in range(file.metadata.num_columns)]
    within = tuple(f"{name}." for name in names)
    return [number for number, path in enumerate(paths) if path in names or path.startswith(within)]


def _read(
    file: pa.parquet.ParquetFile, group: int, names: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, so many at a time."""
    with damage_told(_WHAT):
        batches = file.iter_batches(rows, [group], names, use_threads=False)
    while True:
        with damage_told(_WHAT):
            batch = next(batches, None)
            if batch is not None:
                batch.validate(full=True)
        if batch is None:
            return
        yield batch
