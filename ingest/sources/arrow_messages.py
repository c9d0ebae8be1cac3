"""The messages of an Arrow IPC stream, each looked at before Arrow reads it.

Arrow allocates what a message says it needs: a file of a few bytes may speak of terabytes, and a
compressed buffer unfold to any size. So the messages are cut out of the stream here, and of each
the sizes it claims are added up first. The layout is that of Arrow's Message.fbs and
File.fbs, in FlatBuffers.

Source: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from analytics.errors import InvalidInput
from ingest.errors import ContentTooLarge
from ingest.sources.compression import AsFile, ByteStream, ForArrow

MAX_METADATA_BYTES: Final = 16 << 20

_CONTINUES: Final = b"\xff\xff\xff\xff"
_PIECE: Final = 8 << 20
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3  # fields of Message
_BUFFERS, _COMPRESSION = 2, 3  # of RecordBatch
_DICTIONARIES, _RECORD_BATCHES = 2, 3  # of Footer
_ID, _DATA, _IS_DELTA = 0, 1, 2  # of DictionaryBatch
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # what a message holds
Bytes = bytes | bytearray
_BUFFER: Final = struct.Struct("<qq")
_BLOCK: Final = struct.Struct("<qi4xq")


class MessageStream(ForArrow):
    """A stream that gives Arrow whole messages.

    Attributes:
        bytes_read: How much of the stream was read so far.
    """

    def __init__(self, stream: ByteStream, max_bytes: int) -> None:
        self._stream = AsFile(stream)
        self._limit = MessageLimit(max_bytes)
        self._pieces = self._checked()
        self._piece = memoryview(b"")
        self.bytes_read = 0

    def read(self, size: int, /) -> memoryview:
        """At most `size` bytes; all of them where Arrow reads as messages are laid out.

        Raises:
            InvalidInput: The stream is not Arrow, or breaks off.
            ContentTooLarge: A message needs more memory than allowed.
        """
        while size and not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return memoryview(b"")
            self._piece = memoryview(piece)
        given, self._piece = self._piece[:size], self._piece[size:]
        return given

    def _checked(self) -> Iterator[Bytes]:
        """Length, metadata, body; length, metadata, body; ..."""
        head = self._take(len(_CONTINUES))
        if head and head != _CONTINUES:
            raise InvalidInput(
                "The input is not Arrow IPC (stream or file); Feather V1 has to be written anew"
            )
        while head:
            if len(head) < len(_CONTINUES):
                raise InvalidInput(_ended_early())
            length = head
            if head == _CONTINUES:
                length = self._exactly(4)
                yield _CONTINUES
            yield length
            size = int.from_bytes(length, "little", signed=True)
            if size == 0:
                return
            if not 0 < size <= MAX_METADATA_BYTES:
                raise InvalidInput(_damaged())
            metadata = self._exactly(size)
            body = self._exactly(self._limit.body_length(metadata))
            self._limit.check(metadata, body)
            yield metadata
            yield body
            head = self._take(len(_CONTINUES))

    def _exactly(self, size: int) -> Bytes:
        data = self._take(size)
        if len(data) < size:
            raise InvalidInput(_ended_early())
        return data

    def _take(self, size: int) -> Bytes:
        """So many bytes, or what is left; memory is taken as they come, not as they are claimed."""
        data: Bytes = self._stream.read(min(size, _PIECE))
        if len(data) == _PIECE < size:
            data = bytearray(data)
            while len(data) < size and (more := self._stream.read(min(size - len(data), _PIECE))):
                data += more
        self.bytes_read += len(data)
        return data


class MessageLimit:
    """Adds up what messages take, and refuses those that take more than allowed."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._dictionaries: dict[int, int] = {}

    def body_length(self, metadata: Bytes) -> int:
        """How long the body is that follows.

        Raises:
            InvalidInput: The metadata are damaged.
            ContentTooLarge: It is too long.
        """
        length = _message(metadata).body_length
        self._refuse_large(length)
        return length

    def check(self, metadata: Bytes, body: Bytes) -> None:
        """What a message's buffers unfold to, and all dictionaries together, has to fit.

        Raises:
            InvalidInput: The message is damaged.
            ContentTooLarge: It needs more memory than allowed.
        """
        message = _message(metadata)
        if message.kind == _RECORD_BATCH:
            self._refuse_large(_unfolded(metadata, message.header, body))
        elif message.kind == _DICTIONARY_BATCH:
            data = _table(metadata, message.header, _DATA)
            if data is None:
                raise InvalidInput(_damaged())
            known = _number(metadata, message.header, _ID, "<q")
            size = _unfolded(metadata, data, body)
            if _number(metadata, message.header, _IS_DELTA, "<B"):
                size += self._dictionaries.get(known, 0)
            self._dictionaries[known] = size
            self._refuse_large(sum(self._dictionaries.values()))

    def _refuse_large(self, size: int) -> None:
        if size > self._max_bytes:
            raise ContentTooLarge(
                f"A record batch of the Arrow data takes {size:,} bytes of memory; it may take"
                f" {self._max_bytes:,}: write smaller batches, or Parquet"
            )


class Message(NamedTuple):
    """What a message is: its kind, where its header's table stands, and how long its body is."""

    kind: int
    header: int
    body_length: int


def _message(metadata: Bytes) -> Message:
    root = _at(metadata, "<i", 0)
    kind = _number(metadata, root, _HEADER_TYPE, "<B")
    header = _table(metadata, root, _HEADER)
    body_length = _number(metadata, root, _BODY_LENGTH, "<q")
    if header is None or body_length < 0:
        raise InvalidInput(_damaged())
    return Message(kind, header, body_length)


class Block(NamedTuple):
    """Where a message stands in a file."""

    offset: int
    metadata_length: int
    body_length: int


def blocks_of(footer: Bytes) -> list[Block]:
    """The messages of an Arrow file by its footer, dictionaries first.

    Raises:
        InvalidInput: The footer is damaged.
    """
    root = _at(footer, "<i", 0)
    return [*_blocks(footer, root, _DICTIONARIES), *_blocks(footer, root, _RECORD_BATCHES)]


def _blocks(footer: Bytes, root: int, index: int) -> Iterator[Block]:
    vector = _table(footer, root, index)
    if vector is None:
        return
    count = _at(footer, "<I", vector)
    if vector + 4 + count * _BLOCK.size > len(footer):
        raise InvalidInput(_damaged())
    for number in range(count):
        block = Block(*_BLOCK.unpack_from(footer, vector + 4 + number * _BLOCK.size))
        if min(block) < 0:
            raise InvalidInput(_damaged())
        yield block


def _unfolded(metadata: Bytes, batch: int, body: Bytes) -> int:
    """How many bytes a record batch's buffers are, once decompressed."""
    buffers = _table(metadata, batch, _BUFFERS)
    if buffers is None:
        return 0
    count = _at(metadata, "<I", buffers)
    if buffers + 4 + count * _BUFFER.size > len(metadata):
        raise InvalidInput(_damaged())
    compressed = _table(metadata, batch, _COMPRESSION) is not None
    total = 0
    for number in range(count):
        offset, length = _BUFFER.unpack_from(metadata, buffers + 4 + number * _BUFFER.size)
        if length < 0 or not 0 <= offset <= len(body) - length:
            raise InvalidInput(_damaged())
        claimed = _at(body, "<q", offset) if compressed and length >= 8 else -1
        if claimed < -1:
            raise InvalidInput(_damaged())
        total += length if claimed == -1 else claimed
    return total


def _field(data: Bytes, table: int, index: int) -> int | None:
    """Where a field of a FlatBuffers table stands; None if it isn't set."""
    vtable = table - _at(data, "<i", table)
    slot = 4 + 2 * index
    if slot >= _at(data, "<H", vtable):
        return None
    offset = _at(data, "<H", vtable + slot)
    return table + offset if offset else None


def _table(data: Bytes, table: int, index: int) -> int | None:
    """Where the table or vector stands that a field points to."""
    place = _field(data, table, index)
    return None if place is None else place + _at(data, "<I", place)


def _number(data: Bytes, table: int, index: int, layout: str) -> int:
    place = _field(data, table, index)
    return 0 if place is None else _at(data, layout, place)


def _at(data: Bytes, layout: str, offset: int) -> int:
    if not 0 <= offset <= len(data) - struct.calcsize(layout):
        raise InvalidInput(_damaged())
    value: int = struct.unpack_from(layout, data, offset)[0]
    return value


def _damaged() -> str:
    return "The Arrow data is damaged; make the file anew"


def _ended_early() -> str:
    return "The Arrow data ends too early; was the file cut off on its way? Send it again"
