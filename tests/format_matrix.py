"""The same events in every format and compression, for the command line and HTTP alike.

@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_something(case: Case) -> None:
    (tmp_path / case.name).write_bytes(case.content)                    # or
    client.post(..., content=case.content, headers=case.headers)
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from ingest.sources.formats import COMPRESSIONS, FORMATS

SIZE = 300
Row = dict[str, Any]
EVENTS: list[Row] = [
    {
        "event_id": str(UUID(int=0x1234_5678 * number, version=4)),
        "occurred_at": f"2025-08-{1 + number % 28:02}T10:15:{number % 60:02}.{number:06}Z",
        "user_id": f"user {number % 17} é",
        "event_type": ("login", "buy, now", 'say "x"')[number % 3],
        "properties": {} if number % 5 == 0 else {"n": number, "s": "a\nb", "l": [1.5, None]},
    }
    for number in range(SIZE)
]
STORED = [
    (
        UUID(event["event_id"]),
        datetime.fromisoformat(event["occurred_at"]),
        event["user_id"],
        event["event_type"],
        event["properties"],
    )
    for event in sorted(EVENTS, key=lambda event: UUID(event["event_id"]))
]
"""What the table holds of them, in the order of event_id, as psycopg reads it in UTC."""


@dataclass(frozen=True)
class Case:
    """A format in a compression."""

    format: str
    compression: str | None
    suffix: str
    media_type: str

    def __str__(self) -> str:
        return self.name.removeprefix("events.")

    @property
    def name(self) -> str:
        """A file's name that says what is in it."""
        return f"events{self.suffix}{_SUFFIXES.get(self.compression, '')}"

    @property
    def headers(self) -> dict[str, str]:
        """A request's headers that say what is in it."""
        announced = {"Content-Type": self.media_type}
        return announced | ({"Content-Encoding": self.compression} if self.compression else {})

    @cached_property
    def content(self) -> bytes:
        """All of EVENTS."""
        return self.of(EVENTS)

    def of(self, events: list[Row]) -> bytes:
        """These events."""
        return _PACK[self.compression](_WRITE[self.suffix](events))


def as_csv(events: list[Row]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(events[0]))
    writer.writeheader()
    for event in events:
        writer.writerow({**event, "properties": json.dumps(event["properties"])})
    return file.getvalue().encode()


def as_table(events: list[Row]) -> pa.Table:
    """16-byte ids, microseconds in UTC, a dictionary of event types, properties as JSON text."""
    columns: dict[str, Any] = {name: [event[name] for event in events] for name in events[0]}
    instants = list(map(datetime.fromisoformat, columns["occurred_at"]))
    return pa.table(
        {
            "event_id": pa.array([UUID(v).bytes for v in columns["event_id"]], pa.binary(16)),
            "occurred_at": pa.array(instants, pa.timestamp("us", "UTC")),
            "user_id": pa.array(columns["user_id"]),
            "event_type": pa.array(columns["event_type"]).dictionary_encode(),
            "properties": pa.array(list(map(json.dumps, columns["properties"]))),
        }
    )


def as_arrow(table: pa.Table, *, file: bool = False, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    opened = pa.ipc.new_file if file else pa.ipc.new_stream
    with opened(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=100)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, row_group_size=120, **options)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def as_zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    packed_bytes: bytes = sink.getvalue().to_pybytes()
    return packed_bytes


_WRITE: dict[str, Callable[[list[Row]], bytes]] = {
    ".csv": as_csv,
    ".ndjson": lambda events: "".join(json.dumps(event) + "\n" for event in events).encode(),
    ".json": lambda events: json.dumps(events, indent=1).encode(),
    ".arrows": lambda events: as_arrow(as_table(events)),
    ".feather": lambda events: as_arrow(as_table(events), file=True, compression="lz4"),
    ".parquet": lambda events: as_parquet(as_table(events)),
}
_PACK: dict[str | None, Callable[[bytes], bytes]] = {
    None: lambda content: content,
    "gzip": gzip.compress,
    "zstd": as_zstd,
}
_SUFFIXES: dict[str | None, str] = {known.content_encoding: known.suffix for known in COMPRESSIONS}
_MEDIA_TYPES = {
    ".arrows": "application/vnd.apache.arrow.stream",
    ".feather": "application/vnd.apache.arrow.file",
}

MATRIX = [
    Case(known.name, packed, suffix, _MEDIA_TYPES.get(suffix, known.media_types[0]))
    for known in FORMATS
    for suffix in known.suffixes
    if suffix in _WRITE
    for packed in _PACK
]
