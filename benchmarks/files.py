"""Generated events as files, and loads of them with what each takes."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from sqlalchemy.dialects.postgresql import insert

from analytics.events import ProjectId
from app.database.pools import sqlalchemy_engine
from app.database.tables import events as events_table
from benchmarks.generate import events
from ingest.commit import Numbers, committed
from ingest.distinct import distinct_by_id
from ingest.encode import COPIED_COLUMNS, default_encoder
from ingest.load import BATCH_ROWS, LoadOptions, load
from ingest.report import Report
from ingest.sources.formats import open_file
from ingest.validate import EVENTS

USUAL_INSERT_ROWS = 1_000
_CHUNK_ROWS = 1_000_000
_MESSAGE_BYTES = 1 << 19


def generated(size: int) -> pa.Table:
    """Events in the schema of ingest.validate, with a few properties each."""
    rows = events(size).cast(EVENTS)
    texts = pa.array([f'{{"plan":"pro","step":{number}}}' for number in range(size)])
    return rows.set_column(4, EVENTS.field("properties"), texts)


def write_files(folder: Path, size: int) -> dict[str, Path]:
    """The same events as CSV, NDJSON, Arrow and Parquet: format -> file."""
    rows = generated(size)
    ids = pa.array([str(UUID(bytes=value)) for value in rows["event_id"].to_pylist()])
    texts = rows.set_column(0, "event_id", ids)
    texts = texts.set_column(1, "occurred_at", rows["occurred_at"].cast(pa.string()))
    files = {name: folder / f"events.{name}" for name in ("csv", "ndjson", "arrow", "parquet")}
    pa.csv.write_csv(texts, files["csv"])
    with files["ndjson"].open("w") as file:
        for row in texts.to_pylist():
            file.write(json.dumps({**row, "properties": json.loads(row["properties"])}) + "\n")
    with pa.ipc.new_file(files["arrow"], rows.schema) as writer:
        writer.write_table(rows, max_chunksize=BATCH_ROWS)
    pa.parquet.write_table(rows, files["parquet"])
    return files


def write_large_csv(path: Path, size: int) -> Path:
    """A CSV file of any size, a million rows in memory at a time, with ids of its own."""
    for first in range(0, size, _CHUNK_ROWS):
        rows = generated(min(_CHUNK_ROWS, size - first))
        ids = pa.array([str(UUID(int=first + number)) for number in range(len(rows))])
        texts = rows.set_column(0, "event_id", ids)
        texts = texts.set_column(1, "occurred_at", rows["occurred_at"].cast(pa.string()))
        with path.open("ab") as file:
            options = pa.csv.WriteOptions(include_header=first == 0)
            pa.csv.write_csv(texts, file, options)
    return path


def encoded_batches(rows: pa.Table, project_id: ProjectId) -> list[bytes]:
    """The very bytes that a load of these rows sends, batch by batch."""
    encode = default_encoder()
    batches = rows.combine_chunks().to_batches(BATCH_ROWS)
    return [encode(project_id, distinct_by_id(batch)[0]) for batch in batches]


def bare_copy(url: str, batches: list[bytes]) -> None:
    """Bytes that are ready by COPY, a transaction a batch: what no load can beat."""

    async def run() -> None:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            for batch in batches:
                await committed(pool, _copying(batch))

    asyncio.run(run())


def _copying(batch: bytes) -> Callable[[asyncpg.Connection, Numbers], Any]:
    async def copy(connection: asyncpg.Connection, _: Numbers) -> None:
        await connection.copy_to_table(
            "events", columns=COPIED_COLUMNS, format="binary", source=_Messages(batch)
        )

    return copy


class _Messages:
    """Bytes in pieces of the size that ingest.copy sends."""

    def __init__(self, content: bytes) -> None:
        self._view = memoryview(content)
        self._at = 0

    def __aiter__(self) -> _Messages:
        return self

    async def __anext__(self) -> memoryview:
        if self._at >= len(self._view):
            raise StopAsyncIteration
        piece = self._view[self._at : self._at + _MESSAGE_BYTES]
        self._at += _MESSAGE_BYTES
        return piece


def load_file(
    url: str, project_id: ProjectId, path: Path, options: LoadOptions | None = None
) -> Report:
    """A file by ingest.load, as `tidemark import` does it."""

    async def run() -> Report:
        async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
            with open_file(path) as source:
                return await load(
                    source, project_id=project_id, pool=pool, options=options or LoadOptions()
                )

    return asyncio.run(run())


def insert_usually(url: str, project_id: ProjectId, path: Path) -> int:
    """A CSV file the usual way: csv.DictReader, SQLAlchemy, 1,000 rows to an INSERT.

    With `on conflict do nothing`, committed once. Returns how many rows were new.
    """

    async def run() -> int:
        engine = sqlalchemy_engine(url)
        inserted = 0
        with path.open(newline="") as file:
            rows = [_row(project_id, cells) for cells in csv.DictReader(file)]
        async with engine.begin() as connection:
            for start in range(0, len(rows), USUAL_INSERT_ROWS):
                values = rows[start : start + USUAL_INSERT_ROWS]
                statement = insert(events_table).values(values).on_conflict_do_nothing()
                inserted += (await connection.execute(statement)).rowcount
        await engine.dispose()
        return inserted

    return asyncio.run(run())


def _row(project_id: ProjectId, cells: dict[str, str]) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "event_id": UUID(cells["event_id"]),
        "occurred_at": datetime.fromisoformat(cells["occurred_at"]),
        "user_id": cells["user_id"],
        "event_type": cells["event_type"],
        "properties": json.loads(cells["properties"]),
    }
