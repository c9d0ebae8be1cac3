"""`tidemark project`: who events belong to, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from app.accounts import projects as accounts
from app.cli.ready import ready_servers
from app.cli.removal import remove_all
from app.database.pools import sqlalchemy_engine, transaction
from app.erasure import storage_period
from app.erasure.batches import Which

Result = TypeVar("Result")

projects = typer.Typer(
    help="Projects: the unit that events and keys belong to.", no_args_is_help=True
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


@projects.command("list", epilog="Example: tidemark project list")
def list_projects() -> None:
    """List all projects: name, zone, first day of the week, and how long events are kept."""
    with ready_servers() as servers:
        found = asyncio.run(in_transaction(servers.writer, accounts.all_with_period))
    for project, days in found:
        kept = "for ever" if days is None else f"for {days} days"
        typer.echo(
            "\t".join([project.name, project.timezone, project.week_start, f"events kept {kept}"])
        )


@projects.command("keep", epilog="Example: tidemark project keep shop --days 365")
def keep_events(
    name: Annotated[str, typer.Argument(help="Name of the project.")],
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=storage_period.MOST_DAYS,
            help="Whole days before today, in the project's time zone, whose events are kept.",
        ),
    ] = None,
    *,
    forever: Annotated[bool, typer.Option("--forever", help="Keep all events.")] = False,
) -> None:
    """Set how long a project keeps events. Older ones are removed by servers, or `expire`."""
    if (days is None) != forever:
        raise typer.BadParameter("Give either --days or --forever.")

    async def keep(connection: AsyncConnection) -> None:
        project = await accounts.by_name(connection, name)
        await storage_period.keep(connection, project.id, days)

    with ready_servers() as servers:
        asyncio.run(in_transaction(servers.writer, keep))
    kept = "for ever" if days is None else f"for {days} days; `tidemark expire` removes older ones"
    typer.echo(f"{name} keeps events {kept}.")


@projects.command("delete", epilog="Example: tidemark project delete shop")
def delete_project(
    name: Annotated[str, typer.Argument(help="Name of the project.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a project with its keys, members and events.

    Nobody gets in any more at once; then the events go, in batches. Interrupted, it goes on when it
    is run again.
    """
    with ready_servers() as servers:
        project = asyncio.run(in_transaction(servers.writer, lambda c: accounts.by_name(c, name)))
        if not yes:
            typer.confirm(
                f"Delete project {name} with all its keys, members and events?", abort=True
            )
        asyncio.run(in_transaction(servers.writer, lambda c: accounts.close(c, project.id)))
        events = asyncio.run(remove_all(servers.writer, Which(project.id, None), name))
        asyncio.run(in_transaction(servers.writer, lambda c: accounts.delete(c, project.id)))
    typer.echo(f"Project {name} is deleted, and with it {events:,} events.")


async def in_transaction(url: str, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Runs `work` on one connection in one transaction."""
    engine = sqlalchemy_engine(url, pooled=False)
    try:
        async with transaction(engine) as connection:
            return await work(connection)
    finally:
        await engine.dispose()
