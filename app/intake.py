"""POST /events, from the body to the answer: JSON is answered id by id, all else by counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from io import BytesIO
from typing import Any, Final

import asyncpg
from fastapi import Request

from app.accounts.access import Caller
from app.body import BodyLimits, BodyStream, TooLarge, whole_body
from app.limits import payer_of
from app.media import JSON, announced
from app.observability import Metrics
from app.problems import Busy, TooMany
from app.settings import Settings
from app.throttle import Throttle
from ingest.errors import ContentTooLarge, InvalidEvents
from ingest.load import LoadOptions
from ingest.outcome import SmallResult, Way
from ingest.policy import OnReject
from ingest.report import Report
from ingest.rules import Rules
from ingest.small import SmallWriter
from ingest.sources.formats import Announced, Compression, open_stream
from ingest.sources.jsons import read_json
from ingest.sources.source import RawBatch, Source, SourceOptions
from ingest.whole import WholeOptions, load_whole

Document = dict[str, Any]

REJECTS_LISTED: Final = 100
BATCH_ROWS: Final = 65_536
MAX_BATCH_BYTES: Final = 256 << 20
_INLINE_BYTES: Final = 64 << 10  # longer bodies are parsed in a thread, so that others needn't wait
_CHUNK_BYTES: Final = 1 << 20


class Intake:
    """Takes events in; one for the serving process."""

    def __init__(
        self,
        settings: Settings,
        pool: asyncpg.Pool,
        throttle: Throttle,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._throttle = throttle
        self._metrics = metrics
        self._patience = settings.body_timeout.total_seconds()
        self._turns = asyncio.Semaphore(settings.bulk_at_once)
        self._rules = Rules(
            max_properties_bytes=settings.max_properties_size,
            max_depth=settings.max_properties_depth,
            max_ahead=settings.max_event_ahead,
        )
        self._small = SmallWriter(pool, self._rules, committed=metrics.count_batch)

    async def take(self, caller: Caller, request: Request, on_reject: OnReject) -> Document:
        """Puts the events of a request into the table of the caller's project.

        Raises:
            UnsupportedType, TooLarge, ContentTooLarge, TooMany, SlowBody, BrokenBody, Throttled,
            RedisAway, Busy: About the body as a whole.
            InvalidInput: It is not what it claims to be.
            InvalidEvents: Some of its events are none, and that is to keep all others out.
            TidemarkError: It can't be written; see SmallWriter.write and load_whole.
        """
        what = announced(request)
        take = self._take_json if what.format is JSON else self._take_bulk
        with self._metrics.processed(what.format.name):
            try:
                return await take(caller, request, what, on_reject)
            except InvalidEvents as error:
                self._metrics.count_refused(what.format.name, error.rejected, error.rejects)
                raise
            except ContentTooLarge as error:
                limit = f"{self._settings.max_content_size:,}"
                if limit not in str(error):  # it is about a part of the content
                    raise
                raise ContentTooLarge(f"{error} (MAX_CONTENT_SIZE is {limit})") from error

    async def _take_json(
        self, caller: Caller, request: Request, what: Announced, on_reject: OnReject
    ) -> Document:
        limit = self._settings.max_body_size
        body = await whole_body(request, BodyLimits(limit, "MAX_BODY_SIZE", self._patience))
        parse = partial(_parsed, body, what.compression, limit)
        if len(body) <= _INLINE_BYTES and what.compression is None:
            batch = parse()
        else:
            batch = await asyncio.to_thread(parse)
        if batch.rows > self._settings.max_json_events:
            raise TooMany(
                f"The request holds {batch.rows:,} events; MAX_JSON_EVENTS allows"
                f" {self._settings.max_json_events:,}; send it in parts, or as NDJSON"
            )
        await self._charge(caller, batch.rows)
        result = await self._small.write(caller.project.id, batch, on_reject)
        self._metrics.count_small(what.format.name, result)
        return _by_id(result, on_reject)

    async def _take_bulk(
        self, caller: Caller, request: Request, what: Announced, on_reject: OnReject
    ) -> Document:
        settings = self._settings
        await self._charge(caller, 1)
        limits = BodyLimits(settings.max_bulk_size, "MAX_BULK_SIZE", self._patience)
        read = SourceOptions(
            max_content_bytes=settings.max_content_size,
            max_batch_bytes=MAX_BATCH_BYTES,
            spool_directory=settings.temp_directory,
        )
        options = WholeOptions(
            LoadOptions(BATCH_ROWS, kept_rejects=REJECTS_LISTED, rules=self._rules),
            on_reject,
            settings.temp_directory,
        )
        async with self._turn(), _streamed(request, limits) as stream:
            with ExitStack() as stack:
                # Some formats are written to a file before anything can be read of them.
                source = await asyncio.to_thread(
                    stack.enter_context, open_stream(stream, what, read)
                )
                whole = await load_whole(
                    self._charged(caller, source),
                    project_id=caller.project.id,
                    pool=self._pool,
                    options=options,
                    progress=self._counted(what.format.name),
                )
        self._metrics.count_rejects(whole.report.rejects)
        return {**whole.report.as_json(), "one_transaction": whole.one_transaction}

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Busy from error
        try:
            yield
        finally:
            self._turns.release()

    async def _charge(self, caller: Caller, rows: int) -> None:
        await self._throttle.charge(self._throttle.limits.events, payer_of(caller), rows)

    def _charged(self, caller: Caller, source: Source) -> Source:
        limit = self._throttle.limits.events
        charge = partial(self._throttle.wait_and_charge, limit, payer_of(caller))
        loop = asyncio.get_running_loop()
        return _ChargedSource(
            source, lambda rows: asyncio.run_coroutine_threadsafe(charge(rows), loop).result()
        )

    def _counted(self, source: str) -> Callable[[Report], None]:
        """Counts what each commit of a load adds."""
        last = Report()

        def count(report: Report) -> None:
            nonlocal last
            self._metrics.count_report(source, report, last)
            way = Way.STAGED if report.staged_batches > last.staged_batches else Way.COPY
            self._metrics.count_batch(way, report.rows - last.rows)
            last = report

        return count


class _ChargedSource:
    """A source whose rows are paid for before they are handed on."""

    def __init__(self, source: Source, charge: Callable[[int], None]) -> None:
        self._source = source
        self._charge = charge

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        return self._source.ignored_columns

    def batches(self, max_rows: int) -> Iterator[RawBatch]:
        for batch in self._source.batches(max_rows):
            self._charge(batch.rows)
            yield batch


@asynccontextmanager
async def _streamed(request: Request, limits: BodyLimits) -> AsyncIterator[BodyStream]:
    """The body for threads; whoever still reads it behind the block finds it broken off."""
    stream = BodyStream(request, limits)
    try:
        yield stream
    finally:
        stream.close()


def _parsed(body: bytes, compression: Compression | None, limit: int) -> RawBatch:
    """The events of a JSON body.

    Raises:
        InvalidInput: It is no JSON, or not compressed as announced.
        TooLarge: It holds more than `limit` bytes.
    """
    if compression is None:
        return read_json(body)
    plain, pieces, size = compression.plain(BytesIO(body)), [], 0
    while piece := plain.read(_CHUNK_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise TooLarge(
                f"The body goes on, decompressed; MAX_BODY_SIZE allows {limit:,} ({limit} bytes);"
                " send it in parts"
            )
    return read_json(b"".join(pieces))


def _by_id(result: SmallResult, on_reject: OnReject) -> Document:
    document: Document = {
        "inserted": list(map(str, result.inserted)),
        "duplicates": list(map(str, result.duplicates)),
    }
    if on_reject is OnReject.SKIP:
        document["rejected"] = [reject.as_json() for reject in result.rejects]
    return document
