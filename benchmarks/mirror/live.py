"""Events of today for a running system: those of known users, and some of new ones."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from benchmarks.files import load_file
from benchmarks.generate import events
from benchmarks.mirror.questions import LAST_DAY, PROJECT
from ingest.copy import BatchWriter
from ingest.distinct import distinct_by_id
from ingest.encode import default_encoder
from ingest.load import BATCH_ROWS
from ingest.validate import EVENTS

BATCHES_A_SECOND = 10
_DAY_US = 86_400_000_000
_NEW_SHARE = 0.1


def live_events(size: int, seed: int) -> pa.Table:
    """`size` events of one day, the last that is asked about, in the order they happened.

    A tenth of their users is new; the ids depend on the seed, so two seeds never share one.
    """
    rows = events(size, seed=seed)
    midnight = int(datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, tzinfo=UTC).timestamp())
    instants = midnight * 1_000_000 + np.linspace(0, _DAY_US, size, endpoint=False).astype(np.int64)
    users = rows["user_id"]
    known = pc.less(users, f"user_{int(len(users.unique()) * (1 - _NEW_SHARE)):07d}")
    named = pc.if_else(known, users, pc.binary_join_element_wise(users, str(seed), "_"))
    place = rows.column_names.index
    return rows.set_column(
        place("occurred_at"), "occurred_at", pa.array(instants, pa.timestamp("us", "UTC"))
    ).set_column(place("user_id"), "user_id", named)


def load_at_once(writer: str, size: int, seed: int) -> float:
    """Load a file of `size` of them as fast as it goes; seconds, without making it."""
    rows = live_events(size, seed).cast(EVENTS)
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        path = Path(folder) / "events.arrow"
        with pa.ipc.new_file(path, rows.schema) as file:
            file.write_table(rows, max_chunksize=BATCH_ROWS)
        started = time.perf_counter()
        assert load_file(writer, PROJECT.id, path).inserted == size
        return time.perf_counter() - started


def load_steadily(writer: str, rate: int, seconds: int, seed: int) -> dict[str, float]:
    """Write `rate` a second, in ten batches each: how many, in how long, and how late at worst.

    A batch that is late is not waited for: the next one is due at its own time.
    """
    batch = max(rate // BATCHES_A_SECOND, 1)
    batches = BATCHES_A_SECOND * seconds
    rows = live_events(batch * batches, seed)
    return asyncio.run(_paced(writer, [rows.slice(i * batch, batch) for i in range(batches)]))


async def _paced(writer: str, parts: list[pa.Table]) -> dict[str, float]:
    encode = default_encoder()
    written, latest = 0, 0.0
    async with asyncpg.create_pool(writer, min_size=1, max_size=1) as pool:
        batches = BatchWriter(pool)
        started = time.perf_counter()
        for number, part in enumerate(parts):
            due = started + number / BATCHES_A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            latest = max(latest, time.perf_counter() - due)
            rows, _ = distinct_by_id(part.cast(EVENTS).combine_chunks().to_batches()[0])
            written += (await batches.write(encode(PROJECT.id, rows), len(rows))).inserted
        # The last batch's tenth of a second belongs to it.
        await asyncio.sleep(max(0.0, started + len(parts) / BATCHES_A_SECOND - time.perf_counter()))
        elapsed = time.perf_counter() - started
    return {"events": written, "seconds": round(elapsed, 2), "latest_start": round(latest, 3)}
