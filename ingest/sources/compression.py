"""Compressed streams read as plain ones, and a bound on what comes out of them.

Names and content types that announce a compression are read by `formats`.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, Final, Protocol

import pyarrow as pa

from analytics.errors import InvalidInput
from ingest.errors import ContentTooLarge

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_HEAD_BYTES: Final = 4
_READ_BYTES: Final = 1 << 18
_WITH_GZIP_HEADER: Final = 31


class ByteStream(Protocol):
    """What a source reads from: an open file, or anything else with bytes in it."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, at least one of them unless the stream has ended."""


class ForArrow:
    """What Arrow asks of a Python file beside reading. Ours are closed by those who opened them."""

    closed = False

    def close(self) -> None:
        """Does nothing."""


class AsFile(ForArrow):
    """A stream as a file for Arrow.

    Attributes:
        head: The first bytes that were read, if any were.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.head = b""

    def read(self, size: int, /) -> bytes:
        """As the stream's own, but as many bytes as were asked for, unless it has ended."""
        if not size:  # to zlib, and to some streams, nothing asked for is all of it
            return b""
        data = self._stream.read(size)
        self.head = self.head or data[:_HEAD_BYTES]
        if not data or len(data) == size:
            return data
        pieces = [data]
        missing = size - len(data)
        while missing and (data := self._stream.read(missing)):
            pieces.append(data)
            missing -= len(data)
        return b"".join(pieces)


class CountedFile(ForArrow):
    """A file that can seek and knows how much of it was read, in all.

    Attributes:
        bytes_read: That.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes_read = 0

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, by default all, or what is left."""
        pieces = []
        while size and (data := self._file.read(size)):
            pieces.append(data)
            self.bytes_read += len(data)
            size = size - len(data) if size > 0 else size
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()


class Capped:
    """A stream that may hold so many bytes."""

    def __init__(self, stream: ByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._read = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, b"" at the end.

        Raises:
            ContentTooLarge: There are more than allowed.
        """
        data = self._stream.read(min(size, self._max_bytes - self._read + 1))
        self._read += len(data)
        if self._read > self._max_bytes:
            raise ContentTooLarge(
                f"The input holds more than {self._max_bytes:,} bytes, decompressed; send it in"
                " parts"
            )
        return data


class Unzstd:
    """The content of a Zstandard stream, frames one behind the other included. By Arrow.

    A frame may ask for a window of 128 MiB, no more.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._file = AsFile(stream)
        self._input = pa.CompressedInputStream(pa.PythonFile(self._file, mode="r"), "zstd")
        self._produced = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes of the content, b"" at its end.

        Raises:
            InvalidInput: The stream is not Zstandard, is damaged, or ends too early.
        """
        try:
            output: bytes = self._input.read(size)
        except OSError as error:
            if error.errno is not None:  # of the stream below, not of Arrow
                raise
            raise InvalidInput(self._broken(str(error))) from error
        self._produced += len(output)
        return output

    def _broken(self, error: str) -> str:
        if "Truncated" in error:
            return (
                f"The zstd data ends too early, after {self._produced:,} bytes of content;"
                " was the file cut off on its way? Send it again"
            )
        if not self._file.head.startswith(_ZSTD_MAGIC):
            return "The file is named as zstd, but isn't zstd; give it the name of what it is"
        return (
            f"The zstd data is damaged after {self._produced:,} bytes of content ({error}); make"
            " the file anew"
        )


class Gunzip:
    """The content of a gzip stream, members one behind the other included.

    zlib checks each member's length and checksum. Python's own gzip module reads 8 KiB at a time
    before 3.12 and takes 1.6 times as long.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._member = zlib.decompressobj(_WITH_GZIP_HEADER)
        self._input = b""
        self._begun = False
        self._members = 0
        self._produced = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes of the content, b"" at its end.

        Raises:
            InvalidInput: The stream is not gzip, is damaged, or ends too early.
        """
        while True:
            if self._member.eof:
                self._next_member()
            if not self._input:
                self._input = self._stream.read(_READ_BYTES)
            if not self._input:
                if self._begun or not self._members:
                    raise InvalidInput(self._ended_early())
                return b""
            output = self._decompress(size)
            if output:
                self._produced += len(output)
                return output

    def _decompress(self, size: int) -> bytes:
        if not self._begun and self._members:
            self._input = self._input.lstrip(b"\0")  # tapes and some tools pad with zeros
            if not self._input:
                return b""
        self._begun = True
        try:
            output = self._member.decompress(self._input, size)
        except zlib.error as error:
            raise InvalidInput(self._broken(error)) from error
        self._input = self._member.unconsumed_tail
        return output

    def _next_member(self) -> None:
        self._input = self._member.unused_data
        self._member = zlib.decompressobj(_WITH_GZIP_HEADER)
        self._members += 1
        self._begun = False

    def _ended_early(self) -> str:
        return (
            f"The gzip data ends too early, after {self._produced:,} bytes of content;"
            " was the file cut off on its way? Send it again"
        )

    def _broken(self, error: zlib.error) -> str:
        if not self._produced and not self._members:
            return "The file is named as gzip, but isn't gzip; give it the name of what it is"
        return (
            f"The gzip data is damaged after {self._produced:,} bytes of content"
            f" ({error}); make the file anew"
        )
