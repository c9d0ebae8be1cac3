"""Parquet, from a file that can be read at any place.

Of each row group a few pages are read at a time. How many rows that may be is reckoned from what
the file says of its sizes, and from how large the rows before were.
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
from ingest.sources.sizes import decoded_bytes
from ingest.sources.source import NO_OPTIONS, RawBatch, SourceOptions
from ingest.sources.tables import MAX_SLICE_BYTES, TableReader

_BUFFER_BYTES: Final = 1 << 20
_MAX_FOOTER_TEXT_BYTES: Final = 16 << 20
_WHAT: Final = "The Parquet data"


class ParquetSource:
    """Events of a Parquet file. Positions are rows, from 0."""

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        """Takes a file that can seek."""
        self._input = CountedFile(cast("BinaryIO", stream))
        self._options = options
        self._ignored: tuple[str, ...] = ()
        self._row_bytes = 1

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
        batches = self._batches(file, table.selection.places, max_rows)
        yield from table.raw(batches, max_rows, lambda: self._input.bytes_read)

    def _batches(
        self, file: pa.parquet.ParquetFile, places: list[int], max_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """With the columns of these places, in their order."""
        names = [file.schema_arrow.field(place).name for place in places]
        order = [sorted(places).index(place) for place in places]
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group)
            claimed = rows.total_byte_size // max(rows.num_rows, 1)
            fitting = MAX_SLICE_BYTES // max(claimed, self._row_bytes, 1)
            size = max(1, min(max_rows, fitting))
            with damage_told(_WHAT):
                read = file.iter_batches(size, [group], names, use_threads=False)
            while True:
                with damage_told(_WHAT):
                    batch = next(read, None)
                    if batch is None:
                        break
                    if batch.num_columns != len(places):
                        raise InvalidInput("Two columns have one name; leave one of the two out")
                    batch.validate(full=True)
                weight = sum(map(decoded_bytes, batch.columns))
                self._row_bytes = max(self._row_bytes, weight // max(len(batch), 1))
                yield batch.select(order)  # it came in the file's order

    def _refuse_large(self, metadata: pa.parquet.FileMetaData) -> None:
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        most = self._options.max_content_bytes
        total = sum(group.total_byte_size for group in groups)
        if most is not None and total > most:
            raise ContentTooLarge(
                f"The Parquet file holds {total:,} bytes, decompressed; it may hold {most:,}: send"
                " it in parts"
            )
        for group in groups:
            for number in range(group.num_columns):
                column = group.column(number)
                if column.total_uncompressed_size < 0 or column.num_values < 0:
                    raise InvalidInput("The Parquet data is damaged; make the file anew")
