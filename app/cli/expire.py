"""`tidemark expire`: what projects no longer keep, removed."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.cli.ready import ready_servers
from app.cli.removal import remove_once
from app.erasure import batches
from app.erasure.storage_period import Expired, expired, only_run


def expire(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many events would be removed.")
    ] = False,
) -> None:
    """Remove events older than their project keeps them, and those of deleted projects.

    Works in batches, so it may be interrupted and run again. `tidemark project keep` sets how long
    events are kept; without that, for ever.

    Example: tidemark expire --dry-run
    """
    with ready_servers() as servers:
        total = asyncio.run(_expire(servers.writer, dry_run=dry_run))
    typer.echo(f"{total:,} events {'would be' if dry_run else 'are'} removed.")


async def _expire(url: str, *, dry_run: bool) -> int:
    total = 0
    async with only_run(url) as connection:
        for each in await expired(connection):
            if dry_run:
                events = await batches.count(connection, each.which)
            else:
                events = await remove_once(connection, each.which, _name(each))
            typer.echo(f"{_name(each)}: {events:,} events{_before(each)}")
            total += events
    return total


def _name(each: Expired) -> str:
    return each.name or f"deleted project {each.which.project_id}"


def _before(each: Expired) -> str:
    return f" before {each.first_kept}" if each.first_kept else ""
