"""Batches kept in a temporary file until it is sure that they are wanted.

Their columns are kept as they came, so that what reads them again is an ordinary load, with its
second validation at a tenth of what COPY takes. The file has no name: it is gone when it is closed,
also by a kill.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from ingest.rejects import Unit
from ingest.sources.source import Place, RawBatch
from ingest.temporary import temporary_file


class Spool:
    """A file of batches, each an Arrow stream of its own: their types may differ."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def put(self, batch: RawBatch) -> None:
        """Keeps a batch without rejects.

        Raises:
            OSError: The disk is full, or broken.
        """
        columns = pa.RecordBatch.from_arrays(
            list(batch.columns.values()), names=list(batch.columns)
        )
        columns = columns.replace_schema_metadata(
            {"unit": batch.unit.value, "bytes_read": str(batch.bytes_read)}
        )
        with pa.ipc.new_stream(self._file, columns.schema) as writer:
            writer.write_batch(columns)

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
    """A spool in this folder, by default the system's own; gone behind the block.

    Raises:
        NoRoom: The disk is full.
    """
    with temporary_file(folder) as file:
        yield Spool(file)


def _nowhere(rows: Sequence[int]) -> list[Place]:
    return [Place(0, "") for _ in rows]
