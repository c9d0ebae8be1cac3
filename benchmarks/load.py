"""Generated events into the events table, by the same COPY that loads files."""

from __future__ import annotations

import asyncpg
import pyarrow as pa

from analytics.events import ProjectId
from ingest.copy import BatchWriter
from ingest.distinct import distinct_by_id
from ingest.encode import default_encoder
from ingest.validate import EVENTS

BATCH_ROWS = 65_536


async def copy_in(url: str, project_id: ProjectId, rows: pa.Table) -> int:
    """Writes rows in the schema of ingest.validate, in batches, and returns how many are new."""
    encode = default_encoder()
    inserted = 0
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        writer = BatchWriter(pool)
        for batch in rows.cast(EVENTS).combine_chunks().to_batches(BATCH_ROWS):
            events, _ = distinct_by_id(batch)
            written = await writer.write(encode(project_id, events), len(events))
            inserted += written.inserted
    return inserted
