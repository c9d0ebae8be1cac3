"""The events of a request into the table, whatever their number: all of them or, if told so, none.

Up to ONE_COMMIT_ROWS rows are one transaction. More of them would hold every mirror's tidemark back
while they are being written, so they are committed batch by batch; where one bad event is to keep
all others out, they are first read to the end, validated, and spooled to a temporary file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

import asyncpg
import pyarrow as pa

from analytics.events import ProjectId
from ingest.copy import BatchWriter, Written
from ingest.distinct import distinct_by_id
from ingest.errors import InvalidEvents
from ingest.load import LoadOptions, load
from ingest.outcome import refusals_named
from ingest.policy import OnReject
from ingest.rejects import Reject
from ingest.report import Progress, Report
from ingest.rules import Rules, project_namespace
from ingest.sources.source import RawBatch, Source
from ingest.spool import Spool, opened_spool
from ingest.validate import EVENTS, Checked, validate

ONE_COMMIT_ROWS: Final = 100_000
ONE_COMMIT_BYTES: Final = 64 << 20
"""Such heavy rows would not fit memory by the hundred thousand."""


@dataclass(frozen=True, slots=True)
class WholeReport:
    """What became of a request's rows, and whether that was one transaction."""

    report: Report
    one_transaction: bool


@dataclass(frozen=True, slots=True)
class WholeOptions:
    """How a request is loaded.

    Attributes:
        load: As for any load.
        on_reject: What becomes of the good rows if there are bad ones.
        spool_directory: Existing folder for a temporary file; None for the system's own.
    """

    load: LoadOptions
    on_reject: OnReject = OnReject.ABORT
    spool_directory: Path | None = None


async def load_whole(
    source: Source,
    *,
    project_id: ProjectId,
    pool: asyncpg.Pool,
    options: WholeOptions,
    progress: Progress | None = None,
) -> WholeReport:
    """Puts the events of a source into the table; `progress` is told the report of each commit.

    Raises:
        InvalidEvents: Some rows are no events, and that is to keep all others out. As many rejects
            as the options say are listed, all are counted.
        InvalidInput: The source can't be read; nothing was written.
        InputEndedBadly, LoadInterrupted, LoadRefused: As `load`, from the second commit on.
        ContactLost, EventsRefused, NotWritable, IdHeld: As SmallWriter.write.
        NoRoom: The temporary file could not be written.
    """
    began = time.perf_counter()
    rules = replace(options.load.rules, namespace=project_namespace(project_id))
    batches = source.batches(options.load.batch_rows)
    start = await asyncio.to_thread(_gather, batches, rules)
    abort = options.on_reject is OnReject.ABORT
    if start.is_all:
        if abort and start.rejects:
            raise InvalidEvents(start.rejects, start.rows)
        encode = partial(options.load.encoder, project_id)
        report = replace(
            await _one_transaction(start, BatchWriter(pool), encode),
            rejects=start.rejects[: options.load.kept_rejects],
            seconds=time.perf_counter() - began,
            ignored_columns=source.ignored_columns,
        )
        if progress:
            progress(report)
        return WholeReport(report, one_transaction=True)
    everything: Iterator[RawBatch] = chain(start.raw, batches)
    with ExitStack() as stack:
        if abort:
            spool = stack.enter_context(opened_spool(options.spool_directory))
            kept = options.load.kept_rejects
            await asyncio.to_thread(_spool, everything, spool, rules, kept)
            everything = spool.batches()
        rest = _Chained(source, everything)
        report = await load(
            rest, project_id=project_id, pool=pool, options=options.load, progress=progress
        )
    seconds = time.perf_counter() - began
    return WholeReport(replace(report, seconds=seconds), one_transaction=False)


@dataclass(slots=True)
class _Start:
    """The first batches of a source, as they came and told apart; `is_all` if there are no more."""

    raw: list[RawBatch] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    is_all: bool = False

    @property
    def rows(self) -> int:
        return sum(checked.rows for checked in self.checked)

    @property
    def bytes_read(self) -> int:
        return sum(raw.bytes_read for raw in self.raw)

    @property
    def rejects(self) -> tuple[Reject, ...]:
        return tuple(reject for checked in self.checked for reject in checked.rejects)


def _gather(batches: Iterator[RawBatch], rules: Rules) -> _Start:
    """As many batches as one transaction may have, and the one that showed there are more."""
    start = _Start()
    for raw in batches:
        start.raw.append(raw)
        start.checked.append(validate(raw, rules))
        if start.rows > ONE_COMMIT_ROWS or start.bytes_read > ONE_COMMIT_BYTES:
            return start
    start.is_all = True
    return start


async def _one_transaction(
    start: _Start, writer: BatchWriter, encode: Callable[[pa.RecordBatch], bytes]
) -> Report:
    """Writes the good rows."""

    def prepare() -> tuple[bytes, int, int]:
        batches = [checked.events for checked in start.checked]
        table = pa.Table.from_batches(batches, EVENTS).combine_chunks()
        distinct, repeated = distinct_by_id(
            table.to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], EVENTS)
        )
        return encode(distinct), len(distinct), repeated

    encoded, distinct, repeated = await asyncio.to_thread(prepare)
    written = Written(0, staged=False)
    if distinct:
        with refusals_named():
            written = await writer.write(encoded, distinct)
    return Report(
        rows=start.rows,
        inserted=written.inserted,
        duplicates=distinct - written.inserted + repeated,
        rejected=len(start.rejects),
        batches=1,
        staged_batches=int(written.staged),
        bytes_read=start.bytes_read,
    )


class _Chained:
    """Batches that were read already, and those to come."""

    def __init__(self, source: Source, batches: Iterator[RawBatch]) -> None:
        self._source = source
        self._batches = batches

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        return self._source.ignored_columns

    def batches(self, max_rows: int) -> Iterator[RawBatch]:  # noqa: ARG002 - they are cut already
        return self._batches


def _spool(batches: Iterator[RawBatch], spool: Spool, rules: Rules, kept_rejects: int) -> None:
    """Reads and validates all batches, keeping them in the spool.

    Raises:
        InvalidEvents: Some rows are no events.
        NoRoom: The spool can't be written.
    """
    rows, rejected = 0, 0
    rejects: list[Reject] = []
    for raw in batches:
        checked = validate(raw, rules)
        rows += checked.rows
        rejected += len(checked.rejects)
        rejects += checked.rejects[: kept_rejects - len(rejects)]
        if not rejected:
            spool.put(raw)
    if rejected:
        raise InvalidEvents(rejects, rows, rejected)
