"""How much memory the pages of a Parquet file take, added up before Arrow decompresses them.

A page is in memory as a whole, and one of some kilobytes may unfold to two gigabytes. Its header
says to how many bytes: Arrow takes so much before it looks at a single one. A column's dictionary
stays in memory beside the page being read, and all columns are read side by side.

Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import SEEK_END
from typing import Any, Final, NamedTuple

from analytics.errors import InvalidInput
from ingest.errors import ContentTooLarge
from ingest.sources.compression import CountedFile
from ingest.sources.thrift import I32, I64, EndsEarly, ThriftReader, Wanted

_MAGIC: Final = b"PAR1"
_MAX_FOOTER_BYTES: Final = 16 << 20
_HEADER_BYTES: Final = 256
_MAX_HEADER_BYTES: Final = 16 << 20  # Arrow's own limit

_COMPRESSED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 7, 9, 11  # of a column's metadata
_CHUNK: Final = {3: {_COMPRESSED_SIZE: I64, _DATA_PAGE: I64, _DICTIONARY_PAGE: I64}}
_FOOTER: Final[Mapping[int, Wanted]] = {4: [{1: [_CHUNK]}]}  # row groups, each with its columns

_UNCOMPRESSED, _COMPRESSED = 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 5, 7, 8
_HEADER: Final[Mapping[int, Wanted]] = {
    _UNCOMPRESSED: I32,
    _COMPRESSED: I32,
    _DATA: {1: I32, 2: I32},
    _DICTIONARY: {1: I32, 2: I32},
    _DATA_V2: {1: I32, 4: I32},
}
_DELTAS: Final = (5, 6, 7)  # encodings whose lengths Arrow decodes all at once
_LENGTH_BYTES: Final = 8


class Chunk(NamedTuple):
    """Where the pages of one column of one row group stand in the file."""

    start: int
    end: int


class Page(NamedTuple):
    """A page: what it takes in memory, where the next one begins, whether it is a dictionary."""

    memory: int
    end: int
    is_dictionary: bool


class PageLimit:
    """Refuses row groups whose pages take more memory than allowed."""

    def __init__(self, file: CountedFile, max_bytes: int) -> None:
        """Reads the footer of a file that can seek.

        Raises:
            InvalidInput: There is none, or it is damaged.
        """
        self._file = file
        self._max_bytes = max_bytes
        self._groups = self._read_footer()

    def check(self, group: int, columns: Iterable[int]) -> None:
        """What these columns (of leaves of the schema) take of memory at once has to fit.

        Raises:
            InvalidInput: A page is damaged, or reaches out of its column.
            ContentTooLarge: They take more.
        """
        chunks = self.chunks(group)
        taken = 0
        for column in columns:
            if column >= len(chunks):
                raise _damaged()
            taken += self._memory(chunks[column])
            if taken > self._max_bytes:
                raise ContentTooLarge(
                    f"A row group of the Parquet file takes at least {taken:,} bytes of memory at"
                    f" once; it may take {self._max_bytes:,}: write smaller pages or row groups"
                )

    def chunks(self, group: int) -> list[Chunk]:
        """The columns of a row group, in the schema's order of leaves."""
        return self._groups[group] if group < len(self._groups) else []

    def _memory(self, chunk: Chunk) -> int:
        """The dictionary and the largest page."""
        dictionary = largest = 0
        at = chunk.start
        while at < chunk.end:
            page = self._page(at, chunk.end)
            if page.is_dictionary:
                dictionary = max(dictionary, page.memory)
            else:
                largest = max(largest, page.memory)
            at = page.end
        return dictionary + largest

    def _page(self, at: int, end: int) -> Page:
        header, size = self._header(at, end)
        unfolded, compressed = header.get(_UNCOMPRESSED, 0), header.get(_COMPRESSED, 0)
        page_end = at + size + compressed
        if unfolded < 0 or compressed < 0 or page_end > end:
            raise _damaged()
        return Page(unfolded + _lengths(header), page_end, _DICTIONARY in header)

    def _header(self, at: int, end: int) -> tuple[dict[int, Any], int]:
        """A page's header, and how long it is: most are some dozen bytes, some hold long texts."""
        read = _HEADER_BYTES
        while True:
            self._file.seek(at)
            reader = ThriftReader(self._file.read(min(read, end - at)))
            try:
                return reader.struct(_HEADER), reader.at
            except EndsEarly:
                if read >= min(end - at, _MAX_HEADER_BYTES):
                    raise _damaged() from None
                read *= 4

    def _read_footer(self) -> list[list[Chunk]]:
        size = self._file.seek(0, SEEK_END)
        tail = len(_MAGIC) + 4
        self._file.seek(max(size - tail, 0))
        ending = self._file.read(tail)
        length = int.from_bytes(ending[:4], "little")
        if ending[4:] != _MAGIC or length > size - tail:
            raise _damaged()
        if length > _MAX_FOOTER_BYTES:
            raise ContentTooLarge(
                f"The footer of the Parquet file has {length:,} bytes; it may have"
                f" {_MAX_FOOTER_BYTES:,}: write larger row groups, or fewer columns"
            )
        self._file.seek(size - tail - length)
        try:
            footer = ThriftReader(self._file.read(length)).struct(_FOOTER)
        except EndsEarly:
            raise _damaged() from None
        groups = [[_chunk(column) for column in group.get(1, ())] for group in footer.get(4, ())]
        if any(chunk.end > size for chunks in groups for chunk in chunks):
            raise _damaged()
        return groups


def _chunk(column: dict[int, dict[int, int]]) -> Chunk:
    """Where Arrow begins and ends to read a column's pages."""
    about = column.get(3, {})
    start, length = about.get(_DATA_PAGE, 0), about.get(_COMPRESSED_SIZE, 0)
    dictionary = about.get(_DICTIONARY_PAGE, 0)
    if 0 < dictionary < start:
        start = dictionary
    if start < 0 or length < 0:
        raise _damaged()
    return Chunk(start, start + length)


def _lengths(header: dict[int, Any]) -> int:
    """Bytes for what a page says the lengths of its texts are: no bits of it need to be there."""
    for kind, encoding in ((_DATA, 2), (_DATA_V2, 4)):
        about: dict[int, int] = header.get(kind, {})
        if about.get(encoding) in _DELTAS:
            return _LENGTH_BYTES * max(0, about.get(1, 0))
    return 0


def _damaged() -> InvalidInput:
    return InvalidInput("The Parquet data is damaged; make the file anew")
