"""`tidemark project` and `tidemark key`: who events belong to, and what lets programs in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from app.accounts import keys as api_keys
from app.accounts import projects as accounts
from app.cli.ready import ready_servers
from app.database.pools import sqlalchemy_engine, transaction

Result = TypeVar("Result")

projects = typer.Typer(
    help="Projects: the unit that events and keys belong to.", no_args_is_help=True
)
keys = typer.Typer(
    help="API keys: what lets a program write events or ask questions.", no_args_is_help=True
)

ProjectOption = Annotated[str, typer.Option("--project", help="Name of the project.")]


@projects.command("create", epilog="Example: tidemark project create shop --timezone Europe/Kyiv")
def create_project(
    name: Annotated[str, typer.Argument(help="A name of 1 to 100 characters.")],
    timezone: Annotated[
        str, typer.Option(help="IANA time zone whose days and weeks are counted.")
    ] = "UTC",
    week_start: Annotated[
        WeekStart, typer.Option(help="First day of the week.")
    ] = WeekStart.MONDAY,
) -> None:
    """Make a project."""
    with ready_servers() as servers:
        made = asyncio.run(
            in_transaction(servers.writer, lambda c: accounts.create(c, name, timezone, week_start))
        )
    typer.echo(
        f"Project {made.name} is made: days of {made.timezone}, weeks from {made.week_start}."
    )


@keys.command("create", epilog="Example: tidemark key create --project shop --scope ingest")
def create_key(
    project: ProjectOption,
    scope: Annotated[
        api_keys.Scope, typer.Option(help="ingest writes events, read asks questions.")
    ],
) -> None:
    """Make an API key and print it, once: Tidemark keeps only its hash."""

    async def make(connection: AsyncConnection) -> str:
        owner = await accounts.by_name(connection, project)
        return await api_keys.create(connection, owner.id, scope)

    with ready_servers() as servers:
        typer.echo(asyncio.run(in_transaction(servers.writer, make)))


async def in_transaction(url: str, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Runs `work` on one connection in one transaction."""
    engine = sqlalchemy_engine(url, pooled=False)
    try:
        async with transaction(engine) as connection:
            return await work(connection)
    finally:
        await engine.dispose()
