"""`tidemark import`: files into the events table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from analytics.events import ProjectId
from app.accounts import projects
from app.cli.import_options import (
    BatchSizeOption,
    DryRunOption,
    EventId,
    EventIdOption,
    FilesArgument,
    FormatOption,
    JsonOption,
    KeyOption,
    MapOption,
    ProjectNameOption,
    Properties,
    PropertiesOption,
    RejectsOption,
    UrlOption,
    ZoneOption,
    assumed_zone,
    column_options,
    project_name,
)
from app.cli.importing import Database, Imported, Importer, ImportOptions
from app.cli.inputs import find_inputs
from app.cli.project import in_transaction
from app.cli.ready import ready_servers
from app.cli.remote import remote_target
from app.problems import REJECTS
from app.settings import Settings
from ingest.load import BATCH_ROWS, LoadOptions
from ingest.rejects_file import free_path
from ingest.report import COUNTS, Report
from ingest.rules import Rules
from ingest.sources.source import SourceOptions

REJECTS_SHOWN = 10


def import_events(  # noqa: PLR0913, PLR0917 - an option each
    files: FilesArgument,
    project: ProjectNameOption = None,
    format_name: FormatOption = None,
    mapping: MapOption = None,
    assume_timezone: ZoneOption = None,
    properties_from: PropertiesOption = Properties.COLUMN,
    event_id: EventIdOption = EventId.COLUMN,
    batch_size: BatchSizeOption = BATCH_ROWS,
    rejects: RejectsOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
    *,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Load files of events, with exact counts; what is there already is not loaded twice.

    Columns: event_id, occurred_at, user_id, event_type, and, if you like, properties, in any order.
    An import that was interrupted is simply run again. Rejected rows are written to a file that can
    be mended and imported. With --url and --key it goes over HTTP. More: docs/ingest.md.

    Example: tidemark import 'events-*.csv.gz' --project shop
    """
    settings = Settings()
    columns = column_options(mapping or [], properties_from, event_id)
    rules = Rules(zone=assumed_zone(assume_timezone), max_ahead=settings.max_event_ahead)
    inputs = find_inputs(files, format_name)
    options = ImportOptions(
        source=SourceOptions(columns=columns, spool_directory=settings.temp_directory),
        load=LoadOptions(batch_rows=batch_size, rules=rules, rehearse=dry_run),
        rejects=rejects or free_path(Path(), Path(inputs[0].name).name),
    )
    console = Console(stderr=True)
    if url is not None:
        target = remote_target(url, key, project, dry_run=dry_run)
        imported = Importer(target, options).run(inputs, console)
    else:
        name = project_name(project)
        with ready_servers(settings) as servers:
            found = asyncio.run(in_transaction(servers.writer, lambda c: projects.by_name(c, name)))
            imported = Importer(Database(servers.writer, found.id), options).run(inputs, console)
    tell(imported, console, dry_run=dry_run, json=json)
    if imported.report.rejected:
        raise typer.Exit(REJECTS)


def load_file(url: str, project_id: ProjectId, path: Path, console: Console) -> Report:
    """Loads one file as it is, with a progress bar where `console` is a terminal.

    Raises:
        InvalidInput, ImportInterrupted, Unreachable, LoadInterrupted: See Importer.run.
    """
    importer = Importer(Database(url, project_id), ImportOptions())
    return importer.run(find_inputs([str(path)], None), console).report


def tell(imported: Imported, console: Console, *, dry_run: bool, json: bool) -> None:
    """The report on stdout, the first rejects and what was ignored on stderr."""
    report = imported.report
    _show_rejects(imported, console)
    if json:
        document = _as_json(imported) | {"dry_run": dry_run}
        typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    if len(imported.parts) > 1:
        for name, part in imported.parts:
            typer.echo(f"{name}: {summary(part)}")
    typer.echo(("Dry run, nothing was written: " if dry_run else "") + summary(report))


def summary(report: Report) -> str:
    """The report in a line."""
    speed = f"{report.rows / report.seconds:,.0f} rows/s" if report.seconds else "nothing to read"
    return (
        f"{report.rows:,} rows: {report.inserted:,} inserted, {report.duplicates:,} duplicates, "
        f"{report.rejected:,} rejected ({report.seconds:.1f} s, {speed})"
    )


def _as_json(imported: Imported) -> dict[str, object]:
    parts = [
        {"file": name} | {count: getattr(part, count) for count in COUNTS}
        for name, part in imported.parts
    ]
    return {
        **imported.report.as_json(),
        "files": parts,
        "rejects_file": None if imported.rejects is None else str(imported.rejects),
    }


def _show_rejects(imported: Imported, console: Console) -> None:
    report = imported.report
    if report.ignored_columns:
        console.print(
            escape(f"Ignored columns: {', '.join(report.ignored_columns)}"), soft_wrap=True
        )
    named = len(imported.parts) > 1
    lines = [
        f"Rejected {f'{name}, ' if named else ''}{reject}"
        for name, part in imported.parts
        for reject in part.rejects
    ]
    for line in lines[:REJECTS_SHOWN]:
        console.print(escape(line), soft_wrap=True, highlight=False)
    if report.rejected > REJECTS_SHOWN:
        console.print(
            f"... and {report.rejected - REJECTS_SHOWN:,} more rejected rows", highlight=False
        )
    if imported.rejects:
        console.print(
            escape(
                f"All {report.rejected:,} rejected rows are in {imported.rejects}: mend them, and"
                " import that file"
            ),
            soft_wrap=True,
            highlight=False,
        )
