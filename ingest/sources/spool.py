"""Streams that can be read at any place: files as they are, others by way of a temporary file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, cast

from ingest.sources.compression import ByteStream
from ingest.sources.source import SourceOptions
from ingest.temporary import temporary_file

_CHUNK_BYTES: Final = 1 << 20


@contextmanager
def seekable(stream: ByteStream, options: SourceOptions, begun: bytes = b"") -> Iterator[BinaryIO]:
    """The whole stream as a file at its beginning; a temporary one is gone after the block.

    `begun` is what was read of the stream before.

    Raises:
        NoRoom: The disk is full.
    """
    can_seek = getattr(stream, "seekable", None)
    if can_seek and can_seek():
        file = cast("BinaryIO", stream)
        file.seek(0)
        yield file
        return
    with temporary_file(options.spool_directory) as spooled:
        chunk = begun or stream.read(_CHUNK_BYTES)
        while chunk:
            spooled.write(chunk)
            chunk = stream.read(_CHUNK_BYTES)
        spooled.seek(0)
        yield cast("BinaryIO", spooled)
