"""Inputs into the events table, one after the other, with one report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console

from analytics.errors import InvalidInput
from analytics.events import ProjectId
from app.cli.import_progress import Show, progress_bar
from app.cli.inputs import Followed, Input, opened
from app.database.pools import events_pool
from app.problems import ImportInterrupted
from ingest import load as loading
from ingest.rejects import RejectSink
from ingest.rejects_file import RejectsFile
from ingest.report import Progress, Report, total
from ingest.sources.formats import open_stream
from ingest.sources.source import NO_OPTIONS, Source, SourceOptions

T = TypeVar("T")


class Loading(Protocol):
    """Loads a source to where a target says; see ingest.load."""

    async def __call__(
        self,
        source: Source,
        *,
        options: loading.LoadOptions,
        progress: Progress | None = None,
        rejects: RejectSink | None = None,
    ) -> Report:
        """The report. Raises what `load` raises."""


class Target(Protocol):
    """Where events go."""

    def opened(self) -> AbstractAsyncContextManager[Loading]:
        """Loads to there within the block."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database, as the writer, and the project in it."""

    url: str
    project_id: ProjectId

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Loading]:
        """Loads by COPY."""
        async with events_pool(self.url, size=2) as pool:
            yield partial(loading.load, project_id=self.project_id, pool=pool)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How inputs are read and written.

    Attributes:
        source: How each is read.
        load: How each is written.
        rejects: Where rejects go; None for nowhere.
    """

    source: SourceOptions = NO_OPTIONS
    load: loading.LoadOptions = field(default_factory=loading.LoadOptions)
    rejects: Path | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import: each input with its report, and the file of rejects if any."""

    parts: tuple[tuple[str, Report], ...]
    rejects: Path | None

    @property
    def report(self) -> Report:
        """Of all inputs together."""
        return total([report for _, report in self.parts])


class Importer:
    """One import, under way."""

    def __init__(self, target: Target, options: ImportOptions) -> None:
        """Takes where to, and how.

        Raises:
            InvalidInput: The file for the rejects is there already.
        """
        self._target = target
        self._options = options
        self._rejects = RejectsFile(options.rejects) if options.rejects else None
        self._done: list[tuple[str, Report]] = []
        self._current = ("", Report())
        self._bytes_done = 0

    def run(self, inputs: Sequence[Input], console: Console) -> Imported:
        """Loads the inputs, with a progress bar where `console` is a terminal.

        Raises:
            InvalidInput: An input can't be read as events; the message says what is in the table.
            ImportInterrupted: Ctrl-C; the batch under way was finished first.
            Unreachable, LoadInterrupted: Postgres does not answer (any more).
        """
        try:
            with progress_bar(inputs, console) as show:
                asyncio.run(self._load_all(inputs, show))
        except KeyboardInterrupt as interrupt:
            so_far = total([report for _, report in [*self._done, self._current]])
            raise ImportInterrupted(
                f"Interrupted after {so_far.rows:,} rows ({so_far.inserted:,} inserted); "
                "run the same command again to go on: they will count as duplicates."
            ) from interrupt
        finally:
            if self._rejects:
                self._rejects.close()
        written = self._rejects.path if self._rejects and self._rejects.count else None
        return Imported(tuple(self._done), written)

    async def _load_all(self, inputs: Sequence[Input], show: Show) -> None:
        async with self._target.opened() as load:
            for source in inputs:
                try:
                    await self._load_one(source, load, show)
                except InvalidInput as error:
                    if len(inputs) > 1:
                        error.args = (f"{source.name}: {error}",)
                    raise

    async def _load_one(self, source: Input, load: Loading, show: Show) -> None:
        self._current = (source.name, Report())
        with opened(source) as stream, ExitStack() as stack:
            events = open_stream(stream, source.announced, self._options.source)
            # In a thread, for a compressed Parquet file is unpacked here.
            reading = asyncio.to_thread(stack.enter_context, events)
            found = await _stopping(stream, asyncio.ensure_future(reading), at_once=False)

            def note(report: Report) -> None:
                self._current = (source.name, report)
                so_far = total([part for _, part in [*self._done, self._current]])
                show(source.name, self._bytes_done + stream.bytes_read, so_far)

            loaded = load(
                found,
                options=self._options.load,
                progress=note,
                rejects=partial(self._rejects.write, source.name) if self._rejects else None,
            )
            report = await _stopping(stream, asyncio.ensure_future(loaded), at_once=True)
        self._bytes_done += source.size or 0
        self._done.append((source.name, report))
        self._current = ("", Report())


async def _stopping(stream: Followed, work: asyncio.Future[T], *, at_once: bool) -> T:
    """The result of work that reads a stream; when cancelled, the stream is ended for it to end.

    `at_once` says that the work itself can be cancelled.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        if at_once:
            work.cancel()
        stream.stop()
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # that it couldn't read on is no news
        raise
