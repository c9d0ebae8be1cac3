"""What an event takes of Postgres, at several sizes.

Question: how many bytes does an event take in the table, in each index and in the log, and how much
processor time to load it, whatever sender makes the ids?
Hypothesis: all of it grows as the events do; ids in order of time (UUID version 7) fill the pages
of the key's index, random ones (version 4) leave a third of them empty
(it was a quarter).
Control: the same events, loaded by the loader of files into a table of their own, in the order they
came; with properties of four fields, as a sender's would be. A checkpoint before each.
Command: make capacity.
What would make it wrong: a busy machine, for the processor time; properties unlike yours.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa

from analytics.events import ProjectId
from benchmarks.capacity.processes import parent, processor_seconds
from benchmarks.generate import events
from benchmarks.load import copy_in
from benchmarks.own_process import in_own_process

V4, V7 = "version 4, random", "version 7, in order of time"
PROJECT: Final = ProjectId(1)
_PROPERTIES: Final = '{"plan": "pro", "page": "/products/%d", "referrer": "search", "width": 1280}'
_SIZES: Final = """
select
    pg_relation_size('events'), pg_relation_size('pk_events'),
    pg_relation_size('ix_events_ingest_xid'), pg_relation_size('ix_events_occurred_at'),
    pg_current_wal_insert_lsn() - '0/0'"""


def measure_storing(owner: str, writer: str, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """A row for each kind of id and size; the events of the last stay."""
    return [_stored(owner, writer, size, ids) for ids in (V7, V4) for size in sizes]


def _stored(owner: str, writer: str, size: int, ids: str) -> dict[str, Any]:
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("truncate events")
        connection.execute("vacuum (freeze) events")
        before = _sizes(connection)[-1]
        server = _server(connection)
        used = processor_seconds(server)
        loader = in_own_process(_load, writer, size, ids)
        connection.execute("vacuum (analyze) events")
        heap, key, by_number, by_time, wal = _sizes(connection)
        used = processor_seconds(server) - used
        connection.execute("reindex index concurrently pk_events")
        packed = _sizes(connection)[1]
    return {
        "events": size,
        "ids": ids,
        "heap": heap / size,
        "key": key / size,
        "key_reindexed": packed / size,
        "by_number": by_number / size,
        "by_time": by_time / size,
        "log": (wal - before) / size,
        "postgres_us": used / size * 1e6,
        "loader_us": loader["processor"] / size * 1e6,
        "events_per_second": round(size / loader["seconds"]),
    }


def _sizes(connection: psycopg.Connection[Any]) -> tuple[int, ...]:
    row = connection.execute(_SIZES).fetchone()
    assert row is not None  # a select without from has one row
    return tuple(map(int, row))


def _server(connection: psycopg.Connection[Any]) -> int:
    """The process that all sessions are children of."""
    return parent(connection.info.backend_pid)


def _load(writer: str, size: int, ids: str) -> dict[str, float]:
    rows = with_ids(with_properties(events(size)), ids)
    began, used = time.perf_counter(), time.process_time()
    assert asyncio.run(copy_in(writer, PROJECT, rows)) == size
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - used,
    }


def with_properties(rows: pa.Table) -> pa.Table:
    """The events with properties of some eighty bytes, a thousand different ones."""
    kinds = pa.array([_PROPERTIES % number for number in range(1_000)])
    chosen = pa.array(np.arange(len(rows)) % 1_000)
    at = rows.schema.get_field_index("properties")
    return rows.set_column(at, "properties", kinds.take(chosen))


def with_ids(rows: pa.Table, ids: str) -> pa.Table:
    """The events with ids of version 7, a millisecond apart, unless they are to stay random."""
    if ids == V4:
        return rows
    random = np.random.default_rng(7).integers(0, 1 << 62, len(rows), dtype=np.int64)
    start = 1_741_000_000_000
    made = b"".join(
        uuid.UUID(int=(start + n) << 80 | 7 << 76 | 2 << 62 | int(r)).bytes
        for n, r in enumerate(random)
    )
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(rows), [None, pa.py_buffer(made)]
    )
    return rows.set_column(rows.schema.get_field_index("event_id"), "event_id", column)
