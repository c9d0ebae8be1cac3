"""`tidemark up`: everything on this machine, with sample events, from nothing."""

from __future__ import annotations

import asyncio
import json
import shlex
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from importlib.resources import as_file, files
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from analytics.engines.choose import Engines
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from app.accounts import keys, projects
from app.accounts.keys import Scope
from app.cli import tables
from app.cli.load import load_file
from app.cli.operate import HostOption, PortOption, serving_settings
from app.cli.project import in_transaction
from app.cli.ready import ready_servers
from app.local.home import Home, write_private
from app.servers import Servers
from app.serving import address, bound_socket, serve_until_stopped
from app.settings import Settings

SAMPLE = "sample"
SAMPLE_FILE = "rete_ecom.csv.gz"
# The bundled events end here, so the tables show the same on every machine and day.
SAMPLE_LAST_DAY = date(2024, 6, 29)
DAYS_SHOWN, COHORTS_SHOWN = 14, 12


@dataclass(frozen=True, slots=True)
class SampleKeys:
    """The keys of the sample project, as they lie in the data directory."""

    ingest: str
    read: str


def up(
    host: HostOption = None,
    port: PortOption = None,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Do all of it, show the tables, and stop.")
    ] = False,
) -> None:
    """Start Tidemark on this machine: Postgres, Valkey, schema, sample events, API.

    Everything is kept in TIDEMARK_HOME (default: .tidemark in this folder); a later start finds it
    there.

    Example: tidemark up --port 8080
    """
    settings = serving_settings(api_host=host, api_port=port)
    console = Console()
    with ExitStack() as stack:
        listener = stack.enter_context(bound_socket(settings))
        with console.status("Starting Postgres and Valkey"):
            servers = stack.enter_context(ready_servers(settings, wait_for_guests=False))
        project, sample_keys = _sample(settings, servers, console)
        _show_answers(settings, servers, project, console)
        _show_address(settings, f"{address(listener)}{settings.api_prefix}", sample_keys, console)
        if not once:
            console.print("Serving - Ctrl-C stops.")
            serve_until_stopped(settings, servers, listener)


def _sample(settings: Settings, servers: Servers, console: Console) -> tuple[Project, SampleKeys]:
    """The sample project and its keys; loads the events first if no start has done so to the end.

    The file of keys is written last: where it is missing, all of this runs again and finds what is
    there already.
    """
    home = Home(settings.tidemark_home)
    home.create()
    project = asyncio.run(in_transaction(servers.writer, _sample_project))
    if home.keys.exists():
        return project, SampleKeys(**json.loads(home.keys.read_text()))
    with as_file(files("app.local.sample") / SAMPLE_FILE) as events:
        load_file(servers.writer, project.id, events, console)
    made = asyncio.run(in_transaction(servers.writer, lambda c: _make_keys(c, project)))
    write_private(home.keys, json.dumps(asdict(made), indent=2) + "\n")
    return project, made


async def _sample_project(connection: AsyncConnection) -> Project:
    if await projects.exists(connection, SAMPLE):
        return await projects.by_name(connection, SAMPLE)
    return await projects.create(connection, SAMPLE, "UTC", WeekStart.MONDAY)


async def _make_keys(connection: AsyncConnection, project: Project) -> SampleKeys:
    made = {
        scope.value: (await keys.create(connection, project.id, scope)).secret for scope in Scope
    }
    return SampleKeys(**made)


def _show_answers(settings: Settings, servers: Servers, project: Project, console: Console) -> None:
    """Three tables of the sample: its last days, top events, latest cohorts."""
    last = SAMPLE_LAST_DAY
    days = DayRange(last - timedelta(days=DAYS_SHOWN - 1), last)
    cohorts = Retention(project, last - timedelta(weeks=COHORTS_SHOWN - 1), today=last)
    with Engines.connect(
        servers.reader, timeout=settings.query_timeout, spill=servers.spill
    ) as engines:
        console.print(
            tables.dau_table(engines.answer(Dau(project, days)).rows, zone=project.timezone)
        )
        console.print(tables.top_events_table(engines.answer(TopEvents(project, days)).rows))
        console.print(tables.retention_table(engines.answer(cohorts).rows, zone=project.timezone))


def _show_address(settings: Settings, base: str, sample_keys: SampleKeys, console: Console) -> None:
    first = SAMPLE_LAST_DAY - timedelta(days=6)
    question = f"{base}/stats/dau?from={first}&to={SAMPLE_LAST_DAY}"
    header = f"Authorization: Bearer {sample_keys.read}"
    command = f"curl -s -H {shlex.quote(header)} {shlex.quote(question)}"
    documentation = f"{base.removesuffix(settings.api_prefix)}/docs"
    lines = (
        f"API       {base}   (documentation: {documentation})",
        f"Keys      {Home(settings.tidemark_home).keys}",
        f"Try it    {command}",
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
