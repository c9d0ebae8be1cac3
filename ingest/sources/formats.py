"""The formats and compressions that events come in, and from either to the source that reads it.

The command line and HTTP take the same: what a file's name says to the one, Content-Type and
Content-Encoding say to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from analytics.errors import InvalidInput
from ingest.rejects import shown
from ingest.sources.compression import ByteStream, Gunzip
from ingest.sources.csv import CsvSource
from ingest.sources.jsons import JsonSource
from ingest.sources.source import NO_OPTIONS, Source, SourceOptions


@dataclass(frozen=True, slots=True)
class Format:
    """One format of events.

    Attributes:
        name: As `--format` and messages have it.
        suffixes: Endings of file names, lower case, with the dot.
        media_types: As Content-Type has it, lower case, without parameters; the first is preferred.
        seekable: Whether it can only be read from a file that can be read at any place. A stream
            that can't, or is compressed, is written to a temporary file first.
        opened: The stream as a source.
    """

    name: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    seekable: bool
    opened: Callable[[ByteStream, SourceOptions], Source]


@dataclass(frozen=True, slots=True)
class Compression:
    """One way streams are compressed.

    Attributes:
        name: As messages have it.
        suffix: Ending of file names, lower case, with the dot.
        content_encoding: As Content-Encoding has it, lower case.
        plain: The compressed stream's content.
    """

    name: str
    suffix: str
    content_encoding: str
    plain: Callable[[ByteStream], ByteStream]


class Announced(NamedTuple):
    """What a name, or the headers of a request, say about a stream."""

    format: Format
    compression: Compression | None


CSV: Final = Format("csv", (".csv",), ("text/csv",), seekable=False, opened=CsvSource)
JSON: Final = Format("json", (".json",), ("application/json",), seekable=False, opened=JsonSource)
FORMATS: Final = (CSV, JSON)

GZIP: Final = Compression("gzip", ".gz", "gzip", Gunzip)
COMPRESSIONS: Final = (GZIP,)


@contextmanager
def open_stream(
    stream: ByteStream, announced: Announced, options: SourceOptions = NO_OPTIONS
) -> Iterator[Source]:
    """The stream as a source, to be read within the block. The stream itself stays open.

    Nothing is read before the first batch is asked for.

    Raises:
        InvalidInput: See Source.batches.
    """
    plain = announced.compression.plain(stream) if announced.compression else stream
    yield announced.format.opened(plain, options)


@contextmanager
def open_file(path: Path, options: SourceOptions = NO_OPTIONS) -> Iterator[Source]:
    """The file as a source, closed behind the block. Its format is that of its name.

    Raises:
        InvalidInput: The name's ending is none that `announced_by_name` knows, or the file can't
            be opened.
    """
    announced = announced_by_name(path.name)
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise InvalidInput(f"{path} can't be opened: {error.strerror}") from error
    with file, open_stream(file, announced, options) as source:
        yield source


def announced_by_name(name: str) -> Announced:
    """The format and compression of a file by the endings of its name, like events.csv.gz.

    Raises:
        InvalidInput: It ends in no format we know; the message lists those we do.
    """
    stem = name.lower()
    compression = next((known for known in COMPRESSIONS if stem.endswith(known.suffix)), None)
    if compression:
        stem = stem.removesuffix(compression.suffix)
    for known in FORMATS:
        if stem.endswith(known.suffixes):
            return Announced(known, compression)
    endings = ", ".join(suffix for known in FORMATS for suffix in known.suffixes)
    packed = " or ".join(known.suffix for known in COMPRESSIONS)
    raise InvalidInput(
        f"The name {shown(name)} ends in no known format; take {endings}, each also with {packed}"
    )


def format_of_media_type(media_type: str) -> Format | None:
    """The format of a Content-Type without its parameters; None if it is none of FORMATS."""
    wanted = media_type.strip().lower()
    return next((known for known in FORMATS if wanted in known.media_types), None)


def compression_of_encoding(content_encoding: str) -> Compression | None:
    """The compression of a Content-Encoding; None if it is none of COMPRESSIONS."""
    wanted = content_encoding.strip().lower()
    return next((known for known in COMPRESSIONS if wanted == known.content_encoding), None)
