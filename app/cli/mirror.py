"""`tidemark mirror`: the columnar copy, looked at and looked after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Protocol

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from analytics.errors import Terminal
from analytics.mirror.build import Progress as BuildProgress
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Status
from analytics.mirror.sync import Synced
from analytics.mirror.verify import Verified
from analytics.mirror.verify import verify as verify_mirror
from app.cli.ready import ready_servers
from app.mirror_socket import MirrorReport, call, serving_folders
from app.mirroring import MirrorMetrics, keeper_of, mirror_folder
from app.settings import Settings

app = typer.Typer(
    help="The mirror: a columnar copy of events that answers questions. A running server keeps "
    "it up to date by itself; while there is none, these commands open it themselves.",
    no_args_is_help=True,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BUILDING = "Building the mirror"
_POLL_SECONDS = 0.2
_DAYS_SHOWN = 20


class MirrorDiffers(Terminal):
    """The mirror is not what Postgres holds; `tidemark mirror rebuild` makes it anew."""

    code = "mirror_differs"


Show = Callable[[int, int, str], None]


class Mirror(Protocol):
    """A mirror to work with, held by a server or by this command."""

    def sync(self) -> Synced:
        """Bring it up to date."""

    def rebuild(self, show: Show) -> None:
        """Build it anew and wait for that."""

    def verify(self, show: Show) -> Verified:
        """Compare it with Postgres."""


@app.command("status")
def status(*, json: JsonOption = False) -> None:
    """Whether there is a mirror, how far it is, and who holds it.

    Example: tidemark mirror status
    """
    folders = serving_folders(mirror_folder(Settings()))
    reports: list[MirrorReport] = [call(folder, "report") for folder in folders]
    if json:
        typer.echo(orjson.dumps([_as_json(each) for each in reports], option=orjson.OPT_INDENT_2))
        return
    if not reports:
        typer.echo("No server keeps a mirror here; `tidemark serve` or `tidemark up` starts one.")
        return
    Console().print(_table(reports))


@app.command("sync")
def sync(*, json: JsonOption = False) -> None:
    """Bring the mirror up to date now, and build it first where there is none.

    Example: tidemark mirror sync
    """
    for mirror in _mirrors():
        synced = mirror.sync()
        if json:
            typer.echo(orjson.dumps(asdict(synced), option=orjson.OPT_INDENT_2))
        else:
            typer.echo(
                f"{synced.rows:,} events in, {synced.removals:,} out ({synced.seconds:.2f} s); "
                f"the tidemark is transaction {synced.horizon}."
            )


@app.command("rebuild")
def rebuild() -> None:
    """Throw the mirror away and build it anew. Questions are answered meanwhile, more slowly.

    Example: tidemark mirror rebuild
    """
    began = time.monotonic()
    for mirror in _mirrors():
        with _bar(BUILDING) as show:
            mirror.rebuild(show)
    typer.echo(f"Built anew in {time.monotonic() - began:.1f} s.")


@app.command("verify")
def verify(*, json: JsonOption = False) -> None:
    """Compare the mirror with Postgres, per project and day, and its roll-ups with its events.

    Exits with 1 where they differ.

    Example: tidemark mirror verify
    """
    for mirror in _mirrors():
        with _bar("Comparing") as show:
            verified = mirror.verify(show)
        if json:
            document = {**asdict(verified), "ok": verified.ok}
            typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        else:
            _show_verified(verified)
        if not verified.ok:
            raise MirrorDiffers


class _Served:
    """The mirror of a running server, reached over its socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sync(self) -> Synced:
        synced: Synced = call(self._folder, "sync")
        return synced

    def rebuild(self, show: Show) -> None:
        call(self._folder, "rebuild")
        while (status := self._status()).cause is not None:
            if status.failed:
                raise Terminal(f"The mirror can't be built: {status.doing}")
            if status.progress is not None:
                show(*_shown(status.progress))
            time.sleep(_POLL_SECONDS)

    def verify(self, show: Show) -> Verified:
        verified: Verified = call(self._folder, "verify", told=lambda done, of: show(done, of, ""))
        return verified

    def _status(self) -> Status:
        report: MirrorReport = call(self._folder, "report")
        return report.status


class _Opened:
    """The mirror that this command holds itself."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def sync(self) -> Synced:
        return self._keeper.sync()

    def rebuild(self, show: Show) -> None:
        self._keeper.rebuild()
        self._keeper.open(lambda progress: show(*_shown(progress)))

    def verify(self, show: Show) -> Verified:
        with self._keeper.paused() as store:
            return verify_mirror(store, self._keeper.sessions, lambda done, of: show(done, of, ""))


def _mirrors() -> Iterator[Mirror]:
    """Each mirror of this machine that a server holds; without one, this command's own."""
    settings = Settings()
    folders = serving_folders(mirror_folder(settings))
    yield from map(_Served, folders)
    if folders:
        return
    with ready_servers(settings) as servers:
        keeper = keeper_of(settings.model_copy(update={"mirror": True}), servers, MirrorMetrics())
        assert keeper is not None  # noqa: S101 - it is wanted
        try:
            with _bar(BUILDING) as show:
                keeper.open(lambda progress: show(*_shown(progress)))
            yield _Opened(keeper)
        finally:
            keeper.close()


def _shown(progress: BuildProgress) -> tuple[int, int, str]:
    return progress.ranges, progress.of, f"{progress.rows:,} events"


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr; nothing where nobody looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None, detail="")

        def show(done: int, of: int, detail: str) -> None:
            bar.update(task, completed=done, total=of, detail=detail)

        yield show


def _table(reports: list[MirrorReport]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("process", "mirror", "tidemark", "as of", "above it", "size"):
        table.add_column(heading, justify="right" if heading in {"tidemark", "size"} else "left")
    for each in reports:
        latest = each.status.latest
        as_of = latest.as_of.strftime("%Y-%m-%d %H:%M:%S UTC") if latest and latest.as_of else "-"
        table.add_row(
            str(each.pid),
            each.status.doing,
            str(latest.horizon) if latest else "-",
            as_of,
            f"{latest.tail:,} events" if latest else "-",
            f"{each.bytes / 1_000_000:,.1f} MB",
        )
    return table


def _as_json(report: MirrorReport) -> dict[str, Any]:
    return {**asdict(report), "folder": str(report.folder)}


def _show_verified(verified: Verified) -> None:
    if verified.ok:
        typer.echo(
            f"{verified.events:,} events below transaction {verified.horizon} are equal, "
            "and so are all roll-ups."
        )
        return
    for each in verified.differences[:_DAYS_SHOWN]:
        typer.echo(
            f"Project {each.project_id}, {each.day or 'a day out of range'}: "
            f"{each.mirror:,} events in the mirror, {each.postgres:,} in Postgres"
            + ("; their contents differ" if each.mirror == each.postgres else "")
        )
    if len(verified.differences) > _DAYS_SHOWN:
        typer.echo(f"... and {len(verified.differences) - _DAYS_SHOWN:,} more days")
    for name in verified.wrong_rollups:
        typer.echo(f"The roll-up {name} does not follow from the mirror's events")
