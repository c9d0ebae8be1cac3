"""Typed tables (Arrow, Parquet) as raw columns of events, cut and joined to batches of our size.

Which types a column may have:

| column      | types                                                                  |
|-------------|------------------------------------------------------------------------|
| event_id    | 16 bytes, Arrow's UUID, text, integer                                  |
| occurred_at | timestamp in s, ms, us or ns, with or without a zone; text             |
| user_id     | text, integer                                                          |
| event_type  | text                                                                   |
| properties  | JSON as text or Arrow's JSON, struct, map with keys of text            |

Text and integers may be dictionary-encoded. Whatever is read was validated in full first: offsets
that lie would make Arrow read what isn't there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from analytics.errors import InvalidInput
from analytics.events import COLUMNS
from ingest.columns import select_columns
from ingest.errors import ContentTooLarge
from ingest.json_texts import as_json, is_text
from ingest.rejects import MAX_RAW_CHARACTERS, Unit, in_line, shortened, shown
from ingest.rest import fold
from ingest.sources.damage import damage_told
from ingest.sources.sizes import decoded_bytes
from ingest.sources.source import Place, RawBatch, SourceOptions
from ingest.sources.types import check_type, is_jsonable
from ingest.texts import written

MAX_SLICE_BYTES = 8 << 20
"""About as much as a block of CSV; a row may be larger."""


class TableReader:
    """Reads the batches of one table.

    Attributes:
        selection: Which columns are taken.
    """

    def __init__(self, schema: pa.Schema, options: SourceOptions) -> None:
        """Takes the table's schema.

        Raises:
            InvalidInput: A column is missing, is there twice, or has a type that can't be read.
        """
        with damage_told("The table's schema"):  # names in it may not be UTF-8
            self.selection = select_columns(schema.names, options.columns)
            self._types = [schema.field(place).type for place in self.selection.places]
            for column, place in self.selection.indices.items():
                check_type(column, schema.field(place))
            for place, name in self.selection.rest.items():
                kind = schema.field(place).type
                if not is_jsonable(kind):
                    raise InvalidInput(
                        f"The column {shown(name)} is {in_line(str(kind))}, which properties can't"
                        " hold; leave it out, or cast it"
                    )
        self._max_bytes = options.max_batch_bytes

    def raw(
        self,
        batches: Iterator[pa.RecordBatch],
        max_rows: int,
        bytes_read: Callable[[], int],
    ) -> Iterator[RawBatch]:
        """The rows of batches that have the selected columns, in the selection's order.

        At most `max_rows` at a time.

        Raises:
            InvalidInput: A batch is damaged, or what `batches` raises.
        """
        first, told = 0, 0
        for columns in _joined(self._decoded(batches, max_rows), max_rows):
            rows = len(columns["occurred_at"])
            read = bytes_read()
            yield _raw_batch(columns, first, read - told)
            first, told = first + rows, read

    def _decoded(
        self, batches: Iterator[pa.RecordBatch], max_rows: int
    ) -> Iterator[dict[str, pa.Array]]:
        for batch in batches:
            with damage_told("The table"):
                batch.validate(full=True)
            if batch.schema.types != self._types:
                raise InvalidInput("The table is damaged: it has other types than its schema says")
            self._refuse_large_dictionaries(batch)
            start = 0
            while start < len(batch):
                piece = _fitting(batch.slice(start, max_rows))
                start += len(piece)
                yield self._columns(piece)

    def _refuse_large_dictionaries(self, batch: pa.RecordBatch) -> None:
        """One whose values are views may unfold to more than it came as."""
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                size = decoded_bytes(column.dictionary)
                if size > self._max_bytes:
                    raise ContentTooLarge(
                        f"A dictionary of the table has {size:,} bytes; it may have"
                        f" {self._max_bytes:,}"
                    )

    def _columns(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        arrays = dict(zip(self.selection.places, batch.columns, strict=True))
        columns = {name: _raw(name, arrays[at]) for name, at in self.selection.indices.items()}
        if self.selection.rest:
            others = {name: arrays[place] for place, name in self.selection.rest.items()}
            columns["properties"] = fold(columns.get("properties"), others)
        return columns


def _fitting(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows from the first on that together are no larger than a slice may be; at least one."""
    while len(batch) > 1 and sum(map(decoded_bytes, batch.columns)) > MAX_SLICE_BYTES:
        batch = batch.slice(0, len(batch) // 2)
    return batch


def _joined(pieces: Iterator[dict[str, pa.Array]], max_rows: int) -> Iterator[dict[str, pa.Array]]:
    """Small pieces put together, so that many small batches don't make as many commits."""
    waiting: list[dict[str, pa.Array]] = []
    rows = size = 0
    for piece in pieces:
        count = len(piece["occurred_at"])
        weight = sum(column.nbytes for column in piece.values())
        if waiting and (rows + count > max_rows or size + weight > MAX_SLICE_BYTES):
            yield _together(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(piece)
        rows, size = rows + count, size + weight
    if waiting:
        yield _together(waiting)


def _together(pieces: Sequence[dict[str, pa.Array]]) -> dict[str, pa.Array]:
    if len(pieces) == 1:
        return pieces[0]
    return {name: pa.concat_arrays([piece[name] for piece in pieces]) for name in pieces[0]}


def _raw(name: str, column: pa.Array) -> pa.Array:
    """A column as RawBatch has it."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    kind = column.type
    if name == "occurred_at" and pa.types.is_timestamp(kind):
        return column
    if name == "event_id" and (pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind)):
        return column
    if name == "properties" and not is_text(_value_type(kind)):
        return pc.fill_null(as_json(column), "")
    if pa.types.is_dictionary(kind):  # Arrow can't decode one whose values are views
        column = column.dictionary.cast(pa.string()).take(column.indices)
    return pc.fill_null(column.cast(pa.string()), "")


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _raw_batch(columns: dict[str, pa.Array], first: int, bytes_read: int) -> RawBatch:
    columns = {name: columns[name] for name in COLUMNS if name in columns}

    def locate(rows: Sequence[int]) -> list[Place]:
        texts = [written(column, list(rows)) for column in columns.values()]
        raws = [",".join(text or "" for text in row) for row in zip(*texts, strict=True)]
        return [
            Place(first + row, shortened(raw, MAX_RAW_CHARACTERS))
            for row, raw in zip(rows, raws, strict=True)
        ]

    return RawBatch(columns, Unit.INDEX, locate, (), bytes_read)
