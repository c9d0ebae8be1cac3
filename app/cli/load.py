"""`tidemark import`: files into the events table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from analytics.events import ProjectId
from app.accounts import projects
from app.cli.project import ProjectOption, in_transaction
from app.cli.ready import ready_servers
from app.database.pools import events_pool
from app.problems import REJECTS, ImportInterrupted
from ingest import load as loading
from ingest.report import Report
from ingest.sources.formats import open_file
from ingest.sources.source import Source

REJECTS_SHOWN = 10


def import_events(
    file: Annotated[Path, typer.Argument(help="CSV with a header, plain or gzipped (.gz).")],
    project: ProjectOption,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Load a file of events, with exact counts; what is there already is not loaded twice.

    Columns: event_id, occurred_at, user_id, event_type, and, if you like, properties, in any order.
    An import that was interrupted is simply run again.

    Example: tidemark import events.csv.gz --project shop
    """
    console = Console(stderr=True)
    with ready_servers() as servers:
        found = asyncio.run(in_transaction(servers.writer, lambda c: projects.by_name(c, project)))
        report = load_file(servers.writer, found.id, file, console)
    show_rejects(report, console)
    typer.echo(
        orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2) if json else summary(report)
    )
    if report.rejected:
        raise typer.Exit(REJECTS)


def load_file(url: str, project_id: ProjectId, path: Path, console: Console) -> Report:
    """Loads a file, with a progress bar where `console` is a terminal.

    Raises:
        InvalidInput: The file can't be read as events; the message says what is in the table.
        ImportInterrupted: Ctrl-C; the batch under way was finished first.
        Unreachable, LoadInterrupted: Postgres does not answer (any more).
    """
    latest = Report()

    def note(report: Report) -> None:
        nonlocal latest
        latest = report
        show(report)

    async def run(source: Source) -> Report:
        async with events_pool(url, size=2) as pool:
            return await loading.load(source, project_id=project_id, pool=pool, progress=note)

    with open_file(path) as source, _progress(path, console) as show:
        try:
            return asyncio.run(run(source))
        except KeyboardInterrupt as interrupt:
            raise ImportInterrupted(
                f"Interrupted after {latest.rows:,} rows ({latest.inserted:,} inserted); "
                "run the same command again to go on: they will count as duplicates."
            ) from interrupt


def summary(report: Report) -> str:
    """The report in a line."""
    speed = f"{report.rows / report.seconds:,.0f} rows/s" if report.seconds else "nothing to read"
    return (
        f"{report.rows:,} rows: {report.inserted:,} inserted, {report.duplicates:,} duplicates, "
        f"{report.rejected:,} rejected ({report.seconds:.1f} s, {speed})"
    )


def show_rejects(report: Report, console: Console) -> None:
    """The first rejects and what was ignored, a line each, on stderr."""
    if report.ignored_columns:
        console.print(
            escape(f"Ignored columns: {', '.join(report.ignored_columns)}"), soft_wrap=True
        )
    for reject in report.rejects[:REJECTS_SHOWN]:
        console.print(escape(f"Rejected {reject}"), soft_wrap=True, highlight=False)
    if report.rejected > REJECTS_SHOWN:
        console.print(
            f"... and {report.rejected - REJECTS_SHOWN:,} more rejected rows", highlight=False
        )


@contextmanager
def _progress(path: Path, console: Console) -> Iterator[Callable[[Report], None]]:
    """A bar that moves with every commit; nothing where nobody looks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]} rows"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        # How much a gzipped file holds is known at its end only.
        total = path.stat().st_size if path.is_file() and path.suffix != ".gz" else None
        task = bar.add_task(f"Loading {path.name}", total=total, rows="0")

        def update(report: Report) -> None:
            bar.update(task, completed=report.bytes_read, rows=f"{report.rows:,}")

        yield update
