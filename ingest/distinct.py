"""A batch in the order of its keys, each id once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def distinct_by_id(events: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """The events sorted by event_id, of equal ids the first, and how many were left out.

    All loads writing in the order of the key can't deadlock on it. It is no detour either: COPY
    into the key's index is 1.2 to 1.8 times as fast with sorted batches (docs/adr/0004).
    """
    column = events.column("event_id")
    numbers = np.frombuffer(column.buffers()[1], ">u8").reshape(-1, 2)
    numbers = numbers[column.offset : column.offset + len(column)].astype(np.uint64)
    high, low = numbers[:, 0], numbers[:, 1]
    order = np.argsort(high, kind="stable")
    if (high[order][1:] == high[order][:-1]).any():
        order = np.lexsort((low, high))  # stable too
    repeated = np.zeros(len(order), bool)
    repeated[1:] = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    kept = order[~repeated]
    return events.take(pa.array(kept)), len(order) - len(kept)
