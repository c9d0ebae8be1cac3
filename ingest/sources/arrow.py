"""Arrow IPC, the stream and the file (Feather V2), compressed by Arrow or not.

A file is read as the stream within it, so it may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.ipc

from ingest.sources.arrow_messages import MessageStream
from ingest.sources.compression import ByteStream
from ingest.sources.damage import damage_told
from ingest.sources.source import NO_OPTIONS, RawBatch, SourceOptions
from ingest.sources.tables import TableReader

_WHAT: Final = "The Arrow data"


class ArrowSource:
    """Events of an Arrow table. Positions are rows, from 0."""

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        self._messages = MessageStream(stream, options.max_batch_bytes)
        self._options = options
        self._ignored: tuple[str, ...] = ()

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that events don't have, in the table's order."""
        return self._ignored

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """The rows in order, at most `max_rows` at a time.

        Raises:
            InvalidInput: The input is not Arrow, is damaged, breaks off, or lacks a column.
            ContentTooLarge: A record batch is too large.
        """
        with damage_told(_WHAT):
            opened = pa.ipc.open_stream(pa.PythonFile(self._messages, mode="r"))
        table = TableReader(opened.schema, self._options)
        self._ignored = table.selection.ignored
        yield from table.raw(
            self._batches(opened, table), max_rows, lambda: self._messages.bytes_read
        )

    def _batches(
        self, opened: pa.RecordBatchReader, table: TableReader
    ) -> Iterator[pa.RecordBatch]:
        while True:
            with damage_told(_WHAT):
                batch = next(opened, None)
            if batch is None:
                break
            yield batch.select(table.selection.places)
        self._messages.finish()
