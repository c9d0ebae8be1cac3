"""From the name of a file to the source that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from analytics.errors import InvalidInput
from ingest.rejects import shown
from ingest.sources.compression import ByteStream, Gunzip
from ingest.sources.csv import CsvSource
from ingest.sources.jsons import JsonSource
from ingest.sources.source import Source

MAX_JSON_BYTES: Final = 256 << 20
"""A JSON array is held in memory as a whole; larger ones have to come in another format."""

_GZIP_SUFFIX: Final = ".gz"
_CHUNK_BYTES: Final = 1 << 20


@contextmanager
def open_file(path: Path) -> Iterator[Source]:
    """The file as a source, closed behind the block. Its format is that of its name.

    Raises:
        InvalidInput: The name's ending is none of FORMATS (each may have .gz behind it), the file
            can't be opened, or a JSON file is too large.
    """
    compressed = path.suffix.lower() == _GZIP_SUFFIX
    suffix = (path.with_suffix("") if compressed else path).suffix.lower()
    if suffix not in FORMATS:
        allowed = ", ".join(f"{known} and {known}{_GZIP_SUFFIX}" for known in FORMATS)
        raise InvalidInput(f"The name {shown(path.name)} ends in no known format; take {allowed}")
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise InvalidInput(f"{path} can't be opened: {error.strerror}") from error
    with file:
        yield FORMATS[suffix](Gunzip(file) if compressed else file)


def _json(stream: ByteStream) -> JsonSource:
    body = bytearray()
    while chunk := stream.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise InvalidInput(
                f"The JSON file is larger than {MAX_JSON_BYTES >> 20} MiB; split it, or make it CSV"
            )
    return JsonSource(bytes(body))


FORMATS: Final[dict[str, Callable[[ByteStream], Source]]] = {".csv": CsvSource, ".json": _json}
