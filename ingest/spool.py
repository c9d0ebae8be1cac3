"""Batches kept in a temporary file until it is sure that they are wanted.

Their columns are kept as they came, so that what reads them again is an ordinary load, with its
second validation at a tenth of what COPY takes. The file has no name: it is gone when it is closed,
also by a kill.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from analytics.errors import Transient
from ingest.rejects import Unit
from ingest.sources.source import Place, RawBatch

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NoRoom(Transient):
    """The disk has no room for a body that has to be read to its end before it is written."""

    code = "no_room"


class Spool:
    """A file of batches, each an Arrow stream of its own: their types may differ."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def put(self, batch: RawBatch) -> None:
        """Keeps a batch without rejects.

        Raises:
            NoRoom: The disk is full.
        """
        columns = pa.RecordBatch.from_arrays(
            list(batch.columns.values()), names=list(batch.columns)
        )
        columns = columns.replace_schema_metadata(
            {"unit": batch.unit.value, "bytes_read": str(batch.bytes_read)}
        )
        try:
            with pa.ipc.new_stream(self._file, columns.schema) as writer:
                writer.write_batch(columns)
        except OSError as error:
            if error.errno in _FULL:
                raise NoRoom from error
            raise

    def batches(self) -> Iterator[RawBatch]:
        """The batches in the order they were put; their rows have no places."""
        end = self._file.seek(0, 2)
        self._file.seek(0)
        while self._file.tell() < end:
            with pa.ipc.open_stream(self._file) as reader:
                (columns,) = reader
            told = columns.schema.metadata
            yield RawBatch(
                columns=dict(zip(columns.schema.names, columns.columns, strict=True)),
                unit=Unit(told[b"unit"].decode()),
                locate=_nowhere,
                rejects=(),
                bytes_read=int(told[b"bytes_read"]),
            )


@contextmanager
def opened_spool(folder: Path | None) -> Iterator[Spool]:
    """A spool in this folder, by default the system's own; gone behind the block."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Spool(file)


def _nowhere(rows: Sequence[int]) -> list[Place]:
    return [Place(0, "") for _ in rows]
