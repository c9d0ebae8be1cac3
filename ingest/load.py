"""A source into the events table, any size, batch by batch.

While Postgres takes one batch, a thread reads, validates and encodes the next; there are never more
than these two in memory. Each batch is committed by itself, so a load that ends early, however it
ends, has left whole batches behind, and can be run again from the start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import asyncpg
import pyarrow as pa

from analytics.errors import InvalidInput
from analytics.events import ProjectId
from ingest.commit import ContactLost
from ingest.copy import BatchWriter, Written
from ingest.distinct import distinct_by_id
from ingest.encode import Encoder, default_encoder
from ingest.errors import InputEndedBadly, LoadInterrupted, LoadRefused
from ingest.rehearse import rehearsal
from ingest.rejects import Reject, RejectSink
from ingest.report import Progress, Report
from ingest.rules import NO_RULES, Rules, project_namespace
from ingest.sources.source import RawBatch, Source
from ingest.validate import validate

T = TypeVar("T")
BATCH_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a load goes about it.

    Attributes:
        batch_rows: Most rows to a commit. Batches also end by size, about 4 MiB of CSV: larger ones
            gain nothing, and the first and last can't overlap with anything (docs/adr/0004).
        kept_rejects: How many rejects the report keeps.
        encoder: Encodes rows for COPY.
        rules: What is asked of values. Without a namespace, the project's is taken.
        rehearse: Whether to write nothing and only count (see ingest.rehearse).
    """

    batch_rows: int = BATCH_ROWS
    kept_rejects: int = 100
    encoder: Encoder = field(default_factory=default_encoder)
    rules: Rules = NO_RULES
    rehearse: bool = False


_DEFAULTS: Final = LoadOptions()


async def load(
    source: Source,
    *,
    project_id: ProjectId,
    pool: asyncpg.Pool,
    options: LoadOptions = _DEFAULTS,
    progress: Progress | None = None,
    rejects: RejectSink | None = None,
) -> Report:
    """Puts every event of a source into the table, and counts what became of each row.

    Of rows with one event_id the first in the source counts. Rejected rows don't stop the load;
    `rejects` is given all of them, batch by batch, and `progress` the report so far. Both are
    called after the commit of the batch they speak of. A cancelled load finishes the batch it is
    writing, tells both, and then ends.

    Raises:
        InvalidInput: The source holds no events, nothing was written.
        InputEndedBadly: The source broke off after some batches were committed.
        LoadInterrupted: Postgres went away and did not come back in time.
        LoadRefused: Postgres refused a batch.
    """
    try:
        async with rehearsal(pool) if options.rehearse else _real(pool) as writer:
            return await load_into(
                writer,
                source,
                project_id=project_id,
                options=options,
                progress=progress,
                rejects=rejects,
            )
    except ContactLost as error:
        raise LoadInterrupted(error, Report()) from error


async def load_into(
    writer: Writer,
    source: Source,
    *,
    project_id: ProjectId,
    options: LoadOptions = _DEFAULTS,
    progress: Progress | None = None,
    rejects: RejectSink | None = None,
) -> Report:
    """The same by any writer, which is given what options.encoder makes of each batch.

    Raises:
        InvalidInput, InputEndedBadly, LoadInterrupted, LoadRefused: As `load`.
    """
    steps = _Steps(source, project_id, options, progress, rejects)
    try:
        await steps.run(writer)
    except InvalidInput as error:
        if steps.report.rows:
            raise InputEndedBadly(error, steps.report) from error
        raise
    except ContactLost as error:
        raise LoadInterrupted(error, steps.report) from error
    except asyncpg.PostgresError as error:
        raise LoadRefused(error, steps.report) from error
    return replace(steps.report, ignored_columns=source.ignored_columns)


class Writer(Protocol):
    """Writes encoded rows with distinct ids, each time all of them or none."""

    async def write(self, encoded: bytes, rows: int) -> Written:
        """Says how many of the rows are new.

        Raises:
            ContactLost: It gave up.
        """


@asynccontextmanager
async def _real(pool: asyncpg.Pool) -> AsyncIterator[Writer]:
    yield BatchWriter(pool)


class _Steps:
    """One load: reads a batch ahead, writes, and counts.

    Attributes:
        report: What became of the rows so far.
    """

    def __init__(
        self,
        source: Source,
        project_id: ProjectId,
        options: LoadOptions,
        progress: Progress | None,
        rejects: RejectSink | None,
    ) -> None:
        rules = options.rules
        if rules.namespace is None:
            rules = replace(rules, namespace=project_namespace(project_id))
        encode = partial(options.encoder, project_id)
        self._source = source
        self._prepare = partial(_prepare, source.batches(options.batch_rows), rules, encode)
        self._kept_rejects = options.kept_rejects
        self._progress = progress
        self._rejects = rejects
        self.report = Report()

    async def run(self, writer: Writer) -> None:
        """Goes through all batches; ended by a cancellation once the batch at hand is written."""
        began = time.perf_counter()
        upcoming = asyncio.create_task(asyncio.to_thread(self._prepare))
        try:
            while (batch := await asyncio.shield(upcoming)) is not None:
                upcoming = asyncio.create_task(asyncio.to_thread(self._prepare))
                written, cancelled = await _to_the_end(_write(writer, batch))
                self._tell(batch, written, time.perf_counter() - began)
                if cancelled:
                    raise asyncio.CancelledError
        finally:
            await _settled(upcoming)

    def _tell(self, batch: _Prepared, written: Written, seconds: float) -> None:
        report = _added(self.report, batch, written, self._kept_rejects)
        ignored = self._source.ignored_columns
        self.report = replace(report, seconds=seconds, ignored_columns=ignored)
        if self._rejects and batch.rejects:
            self._rejects(batch.rejects)
        if self._progress:
            self._progress(self.report)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch ready to be written: `distinct` rows, encoded, of `rows` that were read."""

    rows: int
    distinct: int
    repeated: int
    rejects: tuple[Reject, ...]
    encoded: bytes
    bytes_read: int


def _prepare(
    batches: Iterator[RawBatch], rules: Rules, encode: Callable[[pa.RecordBatch], bytes]
) -> _Prepared | None:
    raw = next(batches, None)
    if raw is None:
        return None
    checked = validate(raw, rules)
    events, repeated = distinct_by_id(checked.events)
    return _Prepared(
        rows=checked.rows,
        distinct=len(events),
        repeated=repeated,
        rejects=checked.rejects,
        encoded=encode(events),
        bytes_read=raw.bytes_read,
    )


async def _write(writer: Writer, batch: _Prepared) -> Written:
    if not batch.distinct:
        return Written(0, staged=False)
    return await writer.write(batch.encoded, batch.distinct)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """The result of work that a first cancellation does not stop, and whether there was one."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task), False
    except asyncio.CancelledError:
        return await task, True


async def _settled(upcoming: asyncio.Task[_Prepared | None]) -> None:
    """A thread can't be cancelled, and what it reads from is closed after the load."""
    await asyncio.wait({upcoming})
    if not upcoming.cancelled():
        upcoming.exception()  # what came of a batch that nobody waits for is of no interest


def _added(report: Report, batch: _Prepared, written: Written, kept_rejects: int) -> Report:
    kept = batch.rejects[: max(kept_rejects - len(report.rejects), 0)]
    return replace(
        report,
        rows=report.rows + batch.rows,
        inserted=report.inserted + written.inserted,
        duplicates=report.duplicates + batch.repeated + batch.distinct - written.inserted,
        rejected=report.rejected + len(batch.rejects),
        batches=report.batches + 1,
        staged_batches=report.staged_batches + written.staged,
        bytes_read=report.bytes_read + batch.bytes_read,
        rejects=report.rejects + tuple(replace(reject, record=None) for reject in kept),
    )
