"""A bar that moves with every commit of an import; nothing where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from app.cli.inputs import Input
from ingest.report import Report

Show = Callable[[str, int, Report], None]
"""Told the input's name, the bytes read of all inputs, and the report of all."""


@contextmanager
def progress_bar(inputs: Sequence[Input], console: Console) -> Iterator[Show]:
    """A bar with rows, rows a second, bytes of the files as they stand, and the time left.

    Without a size (a pipe) there is no end to reckon with.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]} rows"),
        TextColumn("{task.fields[speed]} rows/s"),
        TimeRemainingColumn(),
    )
    sizes = [source.size for source in inputs]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("Loading", total=total, rows="0", speed="0")

        def show(name: str, bytes_read: int, report: Report) -> None:
            speed = report.rows / report.seconds if report.seconds else 0.0
            bar.update(
                task,
                description=f"Loading {name}",
                completed=bytes_read,
                rows=f"{report.rows:,}",
                speed=f"{speed:,.0f}",
            )

        yield show
