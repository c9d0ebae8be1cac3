"""Events removed in batches by a command, with its progress."""

from __future__ import annotations

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.database.pools import connect
from app.erasure import batches
from app.erasure.batches import Which


async def remove_all(url: str, which: Which, name: str) -> int:
    """Remove events, those too that come meanwhile; how many that were."""
    connection = await connect(url)
    total = 0
    try:
        while removed := await remove_once(connection, which, name):
            total += removed
    finally:
        await connection.close()
    return total


async def remove_once(connection: asyncpg.Connection, which: Which, name: str) -> int:
    """Remove the events that there are now; how many that were.

    An interrupt takes back the batch under way and keeps those before it, and says how many.
    """
    removed, finished = 0, False
    try:
        with _progress() as progress:
            task = progress.add_task(name, total=None)
            async for step in batches.remove(connection, which):
                removed = step.removed
                progress.update(task, completed=removed, total=step.of)
        finished = True
    finally:
        if not finished:
            typer.echo(
                f"Ended after {removed:,} events of {name}; run it again to go on.", err=True
            )
    return removed


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
