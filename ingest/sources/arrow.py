"""Arrow IPC, the stream and the file (Feather V2), compressed by Arrow or not.

A stream is read as it comes; a file has to be read at any place, so one that comes as a stream is
first written to a temporary file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.ipc

from ingest.sources.arrow_file import FILE_MAGIC, ArrowFile
from ingest.sources.arrow_messages import MessageStream
from ingest.sources.compression import AsFile, ByteStream
from ingest.sources.damage import damage_told
from ingest.sources.source import NO_OPTIONS, RawBatch, SourceOptions
from ingest.sources.spool import seekable
from ingest.sources.tables import TableReader

_WHAT: Final = "The Arrow data"


class ArrowSource:
    """Events of an Arrow table. Positions are rows, from 0."""

    def __init__(self, stream: ByteStream, options: SourceOptions = NO_OPTIONS) -> None:
        self._stream = stream
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
        head = AsFile(self._stream).read(len(FILE_MAGIC))
        if head == FILE_MAGIC:
            with seekable(self._stream, self._options, head) as file:
                opened = ArrowFile(file, self._options.max_batch_bytes)
                yield from self._read(opened, max_rows)
        else:
            yield from self._read(_Stream(self._stream, head, self._options), max_rows)

    def _read(self, opened: ArrowFile | _Stream, max_rows: int) -> Iterator[RawBatch]:
        table = TableReader(opened.schema, self._options)
        self._ignored = table.selection.ignored
        batches = (batch.select(table.selection.places) for batch in opened)
        yield from table.raw(batches, max_rows, lambda: opened.bytes_read)


class _Stream:
    """The record batches of an Arrow stream, of which `head` was read before."""

    def __init__(self, stream: ByteStream, head: bytes, options: SourceOptions) -> None:
        self._messages = MessageStream(_Begun(head, stream), options.max_batch_bytes)
        with damage_told(_WHAT):
            self._opened = pa.ipc.open_stream(pa.PythonFile(self._messages, mode="r"))
            self.schema: pa.Schema = self._opened.schema

    @property
    def bytes_read(self) -> int:
        return self._messages.bytes_read

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while True:
            with damage_told(_WHAT):
                batch = next(self._opened, None)
            if batch is None:
                return
            yield batch


class _Begun:
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, stream: ByteStream) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        given, self._head = self._head[:size], self._head[size:]
        return given or self._stream.read(size)
