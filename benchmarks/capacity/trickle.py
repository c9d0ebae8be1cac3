"""Events that come all the while, of a day and users that no question is about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
import pyarrow as pa

from benchmarks.generate import events
from benchmarks.mirror.questions import LAST_DAY, PROJECT
from benchmarks.own_process import executor
from ingest.copy import BatchWriter
from ingest.distinct import distinct_by_id
from ingest.encode import default_encoder
from ingest.validate import EVENTS

END: Final = datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, tzinfo=UTC) + timedelta(days=30)
"""They happen then; all others before."""

BATCH: Final = 100
EVERY_SECONDS: Final = 0.1


@contextmanager
def trickling(writer: str, folder: Path) -> Iterator[Future[dict[str, float]]]:
    """Write a thousand a second for as long as the block runs, by a process of its own.

    After the block the future tells how many came, and the longest wait of a batch.
    """
    over = folder / "over"
    with executor() as sender:
        try:
            yield sender.submit(_run, writer, over)
        finally:
            over.touch()


def _run(writer: str, over: Path) -> dict[str, float]:
    return asyncio.run(_trickle(writer, over))


async def _trickle(writer: str, over: Path) -> dict[str, float]:
    encode = default_encoder()
    written, longest = 0, 0.0
    async with asyncpg.create_pool(writer, min_size=1, max_size=1) as pool:
        batches = BatchWriter(pool)
        while not over.exists():  # noqa: ASYNC240 - nothing else runs in this process
            rows, _ = distinct_by_id(_later(seed=1 + written))
            began = time.perf_counter()
            found = await batches.write(encode(PROJECT.id, rows), len(rows))
            longest = max(longest, time.perf_counter() - began)
            written += found.inserted
            await asyncio.sleep(EVERY_SECONDS)
    return {"events": written, "longest_ms": round(longest * 1000, 1)}


def _later(seed: int) -> pa.RecordBatch:
    rows = events(BATCH, seed=seed)
    place = rows.column_names.index
    names = pa.array([f"later {user}" for user in rows["user_id"].to_pylist()])
    instants = pa.repeat(pa.scalar(END, pa.timestamp("us", "UTC")), len(rows))
    later = rows.set_column(place("user_id"), "user_id", names)
    later = later.set_column(place("occurred_at"), "occurred_at", instants)
    return later.cast(EVENTS).combine_chunks().to_batches()[0]
