"""`tidemark stats`: the questions on the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any

import orjson
import psycopg
import typer
from rich.console import Console
from rich.table import Table

from analytics.answer import Answer
from analytics.calendar import local_date, parse_day
from analytics.engines.choose import Engines
from analytics.engines.protocol import Freshness
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import DEFAULT_WINDOW, Retention
from analytics.questions.top_events import DEFAULT_LIMIT, TopEvents
from app.accounts import projects
from app.cli import tables
from app.cli.project import ProjectOption, in_transaction
from app.cli.ready import ready_servers
from app.mirror_socket import DATABASE, OtherDatabase, ServerUnreachable, call, serving_folders
from app.mirroring import duck_limits, mirror_folder
from app.servers import Servers
from app.settings import Settings

app = typer.Typer(help="Ask: daily active users, top events, retention.", no_args_is_help=True)


def _day(text: str) -> date:
    try:
        return parse_day(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


FromOption = Annotated[
    date, typer.Option("--from", parser=_day, metavar="DAY", help="First day, YYYY-MM-DD.")
]
ToOption = Annotated[
    date, typer.Option("--to", parser=_day, metavar="DAY", help="Last day, included.")
]
EngineOption = Annotated[
    str | None,
    typer.Option(help="Ask this engine: mirror, attached or postgres. Default: Tidemark chooses."),
]
JsonOption = Annotated[bool, typer.Option("--json", help='Print {"data": [...], "meta": {...}}.')]


@app.command("dau")
def dau(
    project: ProjectOption,
    first: FromOption,
    last: ToOption,
    engine: EngineOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Distinct users of each day.

    Example: tidemark stats dau --project sample --from 2024-06-01 --to 2024-06-29
    """
    days = DayRange(first, last)
    asked, answer = ask(project, lambda found: Dau(found, days), engine)
    show(answer, lambda rows: tables.dau_table(rows, zone=asked.timezone), json=json)


@app.command("top-events")
def top_events(
    project: ProjectOption,
    first: FromOption,
    last: ToOption,
    limit: Annotated[int, typer.Option(help="How many event types to list.")] = DEFAULT_LIMIT,
    engine: EngineOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """The most frequent event types.

    Example: tidemark stats top-events --project sample --from 2024-06-01 --to 2024-06-29 --limit 5
    """
    days = DayRange(first, last)
    _, answer = ask(project, lambda found: TopEvents(found, days, limit), engine)
    show(answer, tables.top_events_table, json=json)


@app.command("retention")
def retention(
    project: ProjectOption,
    start_date: Annotated[
        date,
        typer.Option(
            parser=_day, metavar="DAY", help="Any day of the first cohort's week, YYYY-MM-DD."
        ),
    ],
    window: Annotated[
        int, typer.Option(help="Weeks to show, the cohort's own included.")
    ] = DEFAULT_WINDOW,
    engine: EngineOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Weekly retention: of the users first seen in a week, how many came back later.

    Example: tidemark stats retention --project sample --start-date 2024-05-06 --window 8
    """

    def question(found: Project) -> Retention:
        return Retention(found, start_date, local_date(found.timezone, datetime.now(UTC)), window)

    asked, answer = ask(project, question, engine)
    show(answer, lambda rows: tables.retention_table(rows, zone=asked.timezone), json=json)


def ask(
    project: str, question: Callable[[Project], Question[Any]], engine: str | None
) -> tuple[Project, Answer[Any]]:
    """Find the project, put the question about it, ask the engine (None: the rule chooses)."""
    settings = Settings()
    with ready_servers(settings) as servers:
        found = asyncio.run(in_transaction(servers.writer, lambda c: projects.by_name(c, project)))
        asked = question(found)
        answer = _by_server(settings, servers, asked, engine)
        return found, answer or _here(settings, servers, asked, engine)


def _by_server(
    settings: Settings, servers: Servers, question: Question[Any], engine: str | None
) -> Answer[Any] | None:
    """The answer of the server that holds a mirror of this database, if there is one."""
    with psycopg.connect(servers.reader) as connection:
        database = connection.execute(DATABASE).fetchone()
    for folder in serving_folders(mirror_folder(settings)):
        with suppress(ServerUnreachable, OtherDatabase):
            answer: Answer[Any] = call(
                folder, "answer", question, engine, Freshness.EXACT, database
            )
            return answer
    return None


def _here(
    settings: Settings, servers: Servers, question: Question[Any], engine: str | None
) -> Answer[Any]:
    """The answer from live rows: one question is not worth a mirror."""
    with Engines.connect(
        servers.reader,
        timeout=settings.query_timeout,
        spill=servers.spill,
        limits=duck_limits(settings),
    ) as engines:
        return engines.answer(question, engine)


def show(answer: Answer[Any], table: Callable[[Sequence[Any]], Table], *, json: bool) -> None:
    """Prints the answer, as JSON or as a table with a line on who answered."""
    if json:
        typer.echo(orjson.dumps(answer.as_json(), option=orjson.OPT_INDENT_2))
        return
    console = Console()
    console.print(table(answer.rows))
    console.print(
        f"{answer.meta.engine} ({answer.meta.reason}), {answer.meta.elapsed_ms:.0f} ms",
        style="dim",
        highlight=False,
    )
