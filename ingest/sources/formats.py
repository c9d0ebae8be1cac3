"""The formats and compressions that events come in, and from either to the source that reads it.

The command line and HTTP take the same: what a file's name says to the one, Content-Type and
Content-Encoding say to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from analytics.errors import InvalidInput
from ingest.derived import WithDerivedIds
from ingest.rejects import shown
from ingest.sources.arrow import ArrowSource
from ingest.sources.compression import ByteStream, Capped, Gunzip, Unzstd
from ingest.sources.csv import CsvSource
from ingest.sources.jsons import JsonSource
from ingest.sources.ndjson import NdjsonSource
from ingest.sources.parquet import ParquetSource
from ingest.sources.source import NO_OPTIONS, Source, SourceOptions
from ingest.sources.spool import seekable


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


FORMATS: Final = (
    Format("csv", (".csv",), ("text/csv",), seekable=False, opened=CsvSource),
    Format(
        "ndjson",
        (".ndjson", ".jsonl"),
        ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl"),
        seekable=False,
        opened=NdjsonSource,
    ),
    Format("json", (".json",), ("application/json",), seekable=False, opened=JsonSource),
    Format(
        "arrow",
        (".arrow", ".arrows", ".feather"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"),
        seekable=False,
        opened=ArrowSource,
    ),
    Format(
        "parquet",
        (".parquet", ".pq"),
        ("application/vnd.apache.parquet", "application/x-parquet"),
        seekable=True,
        opened=ParquetSource,
    ),
)

COMPRESSIONS: Final = (
    Compression("gzip", ".gz", "gzip", Gunzip),
    Compression("zstd", ".zst", "zstd", Unzstd),
)


@contextmanager
def open_stream(
    stream: ByteStream, announced: Announced, options: SourceOptions = NO_OPTIONS
) -> Iterator[Source]:
    """The stream as a source, to be read within the block. The stream itself stays open.

    A format that needs a seekable file is read from the stream itself if that has `seek` and is not
    compressed; otherwise all of it is first written to a temporary file.

    Raises:
        InvalidInput: The stream can't be decompressed; else see Source.batches.
        ContentTooLarge: It holds more than options.max_content_bytes.
    """
    plain = announced.compression.plain(stream) if announced.compression else stream
    if options.max_content_bytes is not None and not (
        announced.format.seekable and plain is stream
    ):
        plain = Capped(plain, options.max_content_bytes)
    with ExitStack() as stack:
        if announced.format.seekable:
            plain = stack.enter_context(seekable(plain, options))
        source = announced.format.opened(plain, options)
        yield WithDerivedIds(source) if options.columns.derive_ids else source


@contextmanager
def open_file(path: Path, options: SourceOptions = NO_OPTIONS) -> Iterator[Source]:
    """The file as a source, closed behind the block. Its format is that of its name.

    Raises:
        InvalidInput: The name's ending is none that `announced_by_name` knows, the file can't be
            opened, or see `open_stream`.
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
