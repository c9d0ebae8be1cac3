"""A stream of bytes cut into the elements of one JSON array.

An element ends at a comma, or at the array's end, outside all quotes and inside no other bracket.
numpy finds these in a block at once; the elements themselves are read by others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.errors import InvalidJson
from ingest.sources.announced import refuse_other_content
from ingest.sources.compression import ByteStream

MIN_BLOCK_BYTES: Final = 64 << 10
MAX_BLOCK_BYTES: Final = 4 << 20
MAX_ELEMENT_BYTES: Final = 16 << 20

_BOM: Final = b"\xef\xbb\xbf"
_USUAL_BYTES: Final = 128  # of an element; only sets how much is read at a time
_SPACE: Final = b" \t\r\n"
_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_SHOWN: Final = "send a JSON array of events, or one event"


def _steps() -> npt.NDArray[np.int8]:
    steps = np.zeros(256, np.int8)
    steps[list(b"[{")] = 1
    steps[list(b"]}")] = -1
    return steps


_STEPS: Final = _steps()
_MARKS: Final = np.isin(np.arange(256), list(b"[]{},"))


class ElementBlock(NamedTuple):
    """Texts of some elements, and how much of the stream was read since the block before."""

    elements: list[bytes]
    bytes_read: int


class JsonElements:
    """The elements of the stream's one array; an object alone is the one element."""

    def __init__(self, stream: ByteStream, max_elements: int) -> None:
        self._stream = stream
        self._max_elements = max_elements
        self._block_bytes = max(MIN_BLOCK_BYTES, min(MAX_BLOCK_BYTES, max_elements * _USUAL_BYTES))
        self._data = b""
        self._ended = False
        self._read = 0
        self._told = 0
        self._count = 0

    def blocks(self) -> Iterator[ElementBlock]:
        """The elements in order, at most `max_elements` at a time.

        Raises:
            InvalidJson: The input is neither an array nor an object, breaks off, or an element is
                longer than MAX_ELEMENT_BYTES.
        """
        self._skip_space()
        refuse_other_content(self._data)
        self._data = self._data.removeprefix(_BOM)
        self._skip_space()
        if self._data.startswith(b"{"):
            yield self._object()
            return
        if not self._data:
            raise InvalidJson(f"The input is empty; {_SHOWN}")
        if not self._data.startswith(b"["):
            raise InvalidJson(f"The input is neither a JSON array nor an object; {_SHOWN}")
        self._data = self._data[1:]
        while True:
            ends, closed = self._ends()
            if len(ends):
                texts = self._take(ends, closed)
                if texts:
                    yield self._block(texts)
            if closed:
                self._nothing_follows("array")
                return
            if not len(ends):
                self._longer()

    def _ends(self) -> tuple[npt.NDArray[np.int64], bool]:
        """Where the next elements end, and whether with the last of them the array does."""
        while len(self._data) < self._block_bytes and self._more():
            pass
        ends, depths = _marks(self._data)
        closing = np.flatnonzero(depths < 0)
        last = int(closing[0]) if len(closing) else len(ends)
        within = np.flatnonzero((depths[:last] == 0) & _is_comma(self._data, ends[:last]))
        found = ends[within][: self._max_elements]
        if len(closing) and len(found) == len(within) < self._max_elements:
            return np.append(found, ends[last]), True
        return found, False

    def _take(self, ends: npt.NDArray[np.int64], closed: bool) -> list[bytes]:
        """The elements up to these ends, each of which is left out itself."""
        if closed and self._data[ends[-1]] != ord("]"):
            raise InvalidJson(
                f"Element {self._count + len(ends) - 1} has a bracket that was never opened;"
                f" {_SHOWN}"
            )
        starts = np.concatenate([[0], ends[:-1] + 1])
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        texts = [self._data[start:end] for start, end in pairs]
        self._data = self._data[int(ends[-1]) + 1 :]
        if closed and self._count + len(texts) == 1 and not texts[0].strip(_SPACE):
            return []
        self._count += len(texts)
        return texts

    def _object(self) -> ElementBlock:
        while True:
            ends, depths = _marks(self._data)
            closing = np.flatnonzero(depths == 0)
            closing = closing[~_is_comma(self._data, ends[closing])]
            if len(closing):
                end = int(ends[closing[0]]) + 1
                text, self._data = self._data[:end], self._data[end:]
                self._nothing_follows("object")
                return self._block([text])
            self._longer()

    def _longer(self) -> None:
        """Reads on, for the element at hand is not whole."""
        if len(self._data) >= MAX_ELEMENT_BYTES:
            raise InvalidJson(
                f"Element {self._count} is longer than {MAX_ELEMENT_BYTES >> 20} MiB; {_SHOWN}"
            )
        if not self._more():
            raise InvalidJson(
                f"The input ends too early, within element {self._count}; was it cut off on its"
                " way? Send it again"
            )

    def _nothing_follows(self, what: str) -> None:
        self._skip_space()
        if self._data:
            hint = ""
            if what == "object":
                hint = "; a file with an object on each line is NDJSON: name it .ndjson"
            raise InvalidJson(f"Something follows the {what}{hint}")

    def _skip_space(self) -> None:
        self._data = self._data.lstrip(_SPACE)
        while len(self._data) < self._block_bytes and self._more():
            self._data = self._data.lstrip(_SPACE)

    def _more(self) -> bool:
        """Reads on, the more the longer the element at hand is; False at the end."""
        if not self._ended:
            chunk = self._stream.read(max(self._block_bytes - len(self._data), len(self._data), 1))
            self._ended = not chunk
            self._read += len(chunk)
            self._data += chunk
        return not self._ended

    def _block(self, texts: list[bytes]) -> ElementBlock:
        block = ElementBlock(texts, self._read - self._told)
        self._told = self._read
        return block


def _marks(data: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where brackets and commas stand outside quotes, and how deep it is behind each."""
    characters = np.frombuffer(data, np.uint8)
    quotes = characters == _QUOTE
    if _BACKSLASH in data:
        quotes &= ~_escaped(characters)
    inside = np.cumsum(quotes, dtype=np.uint8) & 1
    marks = np.flatnonzero(_MARKS[characters] & (inside == 0))
    return marks, np.cumsum(_STEPS[characters[marks]], dtype=np.int64)


def _escaped(characters: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which characters stand behind an odd number of backslashes."""
    places = np.arange(len(characters), dtype=np.int32)
    others = np.maximum.accumulate(np.where(characters == _BACKSLASH, np.int32(-1), places))
    result = np.zeros(len(characters), bool)
    result[1:] = (places[:-1] - others[:-1]) % 2 == 1
    return result


def _is_comma(data: bytes, places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    commas: npt.NDArray[np.bool_] = np.frombuffer(data, np.uint8)[places] == _COMMA
    return commas
