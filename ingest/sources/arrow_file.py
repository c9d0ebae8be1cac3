"""The record batches of an Arrow file, by its footer; each message is looked at before Arrow is.

Not as the stream within it: Polars writes the schema at the beginning in a form of its own, and
only the footer is by the book.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import SEEK_END
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.ipc

from analytics.errors import InvalidInput
from ingest.sources.arrow_messages import MAX_METADATA_BYTES, Block, MessageLimit, blocks_of
from ingest.sources.compression import CountedFile
from ingest.sources.damage import damage_told

FILE_MAGIC: Final = b"ARROW1"
_WHAT: Final = "The Arrow data"
_PREFIX_BYTES: Final = (4, 8)  # before a message's metadata: its length, since 2020 with a marker


class ArrowFile:
    """An Arrow file that can be read at any place.

    Attributes:
        schema: Of its record batches.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        """Reads the footer.

        Raises:
            InvalidInput: There is none, or it is damaged.
        """
        self._file = file
        self._limit = MessageLimit(max_bytes)
        self._blocks = self._read_blocks()
        file.seek(0)
        self._counted = CountedFile(file)
        with damage_told(_WHAT):
            self._opened = pa.ipc.open_file(pa.PythonFile(self._counted, mode="r"))
            self.schema: pa.Schema = self._opened.schema

    @property
    def bytes_read(self) -> int:
        """How much of the file was read so far, in all."""
        return self._counted.bytes_read

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        count = self._opened.num_record_batches
        first = len(self._blocks) - count
        for block in self._blocks[: max(first, 0)]:
            self._check(block)
        for number in range(count):
            self._check(self._blocks[first + number])
            with damage_told(_WHAT):
                batch = self._opened.get_batch(number)
            yield batch

    def _read_blocks(self) -> list[Block]:
        size = self._file.seek(0, SEEK_END)
        end = 4 + len(FILE_MAGIC)
        if size < end:
            raise InvalidInput(_ended_early())
        self._file.seek(size - end)
        tail = self._exactly(end)
        length = int.from_bytes(tail[:4], "little", signed=True)
        if tail[4:] != FILE_MAGIC or not 0 < length <= min(size - end, MAX_METADATA_BYTES):
            raise InvalidInput(_ended_early())
        self._file.seek(size - end - length)
        blocks = blocks_of(self._exactly(length))
        if any(block.offset > size for block in blocks):  # some files can't even seek there
            raise InvalidInput(_ended_early())
        return blocks

    def _check(self, block: Block) -> None:
        if block.metadata_length > MAX_METADATA_BYTES:
            raise InvalidInput(_ended_early())
        self._file.seek(block.offset)
        data = self._exactly(block.metadata_length)
        metadata = data[_PREFIX_BYTES[data[:4] == b"\xff" * 4] :]
        body = self._exactly(self._limit.body_length(metadata))
        self._limit.check(metadata, body)

    def _exactly(self, size: int) -> bytes:
        data = CountedFile(self._file).read(size)
        if len(data) < size:
            raise InvalidInput(_ended_early())
        return data


def _ended_early() -> str:
    return "The Arrow data ends too early; was the file cut off on its way? Send it again"
