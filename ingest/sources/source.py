"""What every source gives: raw columns of text, and the way back from a row to the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from ingest.columns import ColumnOptions
from ingest.rejects import Reject, Unit


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How a source is read.

    Attributes:
        columns: Which of its columns are those of an event.
        max_content_bytes: How much it may hold, decompressed; None for any amount.
        max_batch_bytes: How much of a format that comes in parts of its own making (Arrow's record
            batches, Parquet's pages) may have to be in memory at once.
        spool_directory: Existing folder for temporary files; None for the system's own.
    """

    columns: ColumnOptions = field(default_factory=ColumnOptions)
    max_content_bytes: int | None = None
    max_batch_bytes: int = 1 << 30
    spool_directory: Path | None = None


NO_OPTIONS: Final = SourceOptions()


class Place(NamedTuple):
    """Where a row stands in its source, and what stands there."""

    position: int
    raw: str


class Locate(Protocol):
    """Finds rows of a batch in the source."""

    def __call__(self, rows: Sequence[int]) -> list[Place]:
        """A place for each of these rows of the batch's columns, in the order given."""


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as they came.

    Attributes:
        columns: Column of an event -> its values, all of one length: texts without nulls, an empty
            one where there is none. Where the source has types, event_id may be 16 bytes (binary
            of fixed or any size), and occurred_at a timestamp of any unit, with or without a zone,
            both with nulls. `properties` is absent where the source has none.
        unit: What positions count.
        locate: Finds rows of `columns` in the source; costs time, so only where it is needed.
        rejects: Rows that could not be told apart into columns; they are not in `columns`.
        bytes_read: Bytes of the source that this batch took, decompressed.
    """

    columns: Mapping[str, pa.Array]
    unit: Unit
    locate: Locate
    rejects: tuple[Reject, ...]
    bytes_read: int

    @property
    def rows(self) -> int:
        """How many rows were read, rejects included."""
        return len(self.columns["occurred_at"]) + len(self.rejects)


class Source(Protocol):
    """Something events can be read from, once."""

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that events don't have; known once the first batch was asked for."""

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        """The rows in order, at most so many at a time. Blocks while reading.

        Raises:
            InvalidInput: The input can't be read (any further); batches given before stay good.
        """
