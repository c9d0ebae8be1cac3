"""What `tidemark import` reads: files by name or pattern, and the standard input."""

from __future__ import annotations

import glob
import os
import select
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from analytics.errors import InvalidInput
from app.problems import ImportInterrupted
from ingest.sources.formats import COMPRESSIONS, Announced, announced_by_name

STDIN: Final = "-"
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Input:
    """One file, or the standard input.

    Attributes:
        name: As messages have it.
        path: Where the file is; None for the standard input.
        announced: Its format and compression.
        size: Its bytes as they stand; None for a pipe.
    """

    name: str
    path: Path | None
    announced: Announced
    size: int | None


class Followed:
    """An open file that knows how much of it was read, and can be told to end.

    Reading a pipe may take for ever, so that is done in steps.
    """

    def __init__(self, file: BinaryIO, *, is_pipe: bool) -> None:
        self._file = file
        self._is_pipe = is_pipe
        self._stopped = False
        self.bytes_read = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, b"" at the end.

        Raises:
            ImportInterrupted: It was stopped; a row that is cut off there must not be taken.
        """
        while self._is_pipe and not self._stopped:
            if select.select([self._file], [], [], _POLL_SECONDS)[0]:
                break
        if self._stopped:
            raise ImportInterrupted
        data = self._file.read(size)
        self.bytes_read += len(data)
        return data

    def seekable(self) -> bool:
        """Whether it can be read at any place."""
        return not self._is_pipe and self._file.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As of a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()

    def stop(self) -> None:
        """Ends the file where it is; from any thread."""
        self._stopped = True


def find_inputs(names: Sequence[str], format_name: str | None) -> list[Input]:
    """The inputs that names and patterns stand for, each once, patterns in the order of names.

    Raises:
        InvalidInput: A pattern matches nothing, or a format isn't known; see announced_by_name.
    """
    found = dict.fromkeys(name for pattern in names for name in _matches(pattern))
    return [_input(name, format_name) for name in found]


@contextmanager
def opened(source: Input) -> Iterator[Followed]:
    """The input, open within the block.

    Raises:
        InvalidInput: It can't be opened.
    """
    if source.path is None:
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as file:
            yield Followed(file, is_pipe=_is_pipe(file))
        return
    try:
        file = source.path.open("rb", buffering=0)
    except OSError as error:
        raise InvalidInput(f"{source.path} can't be opened: {error.strerror}") from error
    with file:
        yield Followed(file, is_pipe=_is_pipe(file))


def _is_pipe(file: BinaryIO) -> bool:
    return not stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _matches(pattern: str) -> list[str]:
    if pattern == STDIN or Path(pattern).exists() or not glob.has_magic(pattern):
        return [pattern]
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute
    if not found:
        raise InvalidInput(f"No file matches {pattern}")
    return found


def _input(name: str, format_name: str | None) -> Input:
    if name == STDIN:
        if format_name is None:
            raise InvalidInput("The standard input has no name; say what it is: --format csv")
        return Input("standard input", None, announced_by_name(f".{format_name}"), None)
    path = Path(name)
    size = path.stat().st_size if path.is_file() else None
    return Input(name, path, _announced(path.name, format_name), size)


def _announced(name: str, format_name: str | None) -> Announced:
    """By the name, or by the format that was given, which may leave the compression to the name."""
    if format_name is None:
        return announced_by_name(name)
    given = announced_by_name(f".{format_name}")
    packed = next((known for known in COMPRESSIONS if name.lower().endswith(known.suffix)), None)
    return Announced(given.format, given.compression or packed)
