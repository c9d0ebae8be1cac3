"""`tidemark mirror`: the columnar copy, looked at and looked after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from analytics.engines.choose import Engines
from analytics.errors import Terminal
from analytics.mirror.sync import Synced
from analytics.mirror.verify import Verified
from app.cli.ready import ready_servers
from app.mirror_socket import MirrorReport, Service, call, serving_folders
from app.mirroring import MirrorMetrics, keeper_of, mirror_folder
from app.settings import Settings

app = typer.Typer(
    help="The mirror: a columnar copy of events that answers questions. A running server keeps "
    "it up to date by itself; while there is none, these commands open it themselves.",
    no_args_is_help=True,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_POLL_SECONDS = 0.2
_DAYS_SHOWN = 20


class MirrorDiffers(Terminal):
    """The mirror is not what Postgres holds; `tidemark mirror rebuild` makes it anew."""

    code = "mirror_differs"


Ask = Callable[..., Any]


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
    for ask in _mirrors():
        synced: Synced = ask("sync")
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
    for ask in _mirrors():
        ask("rebuild")
        _wait_until_built(lambda ask=ask: ask("report"))  # type: ignore[misc]  # bound for the loop
    typer.echo(f"Built anew in {time.monotonic() - began:.1f} s.")


@app.command("verify")
def verify(*, json: JsonOption = False) -> None:
    """Compare the mirror with Postgres, per project and day, and its roll-ups with its events.

    Exits with 1 where they differ.

    Example: tidemark mirror verify
    """
    for ask in _mirrors():
        with _bar("Comparing") as show:
            verified: Verified = ask("verify", told=lambda done, of: show(done, of, ""))
        if json:
            document = {**asdict(verified), "ok": verified.ok}
            typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        else:
            _show_verified(verified)
        if not verified.ok:
            raise MirrorDiffers


def _mirrors() -> Iterator[Ask]:
    """Each mirror of this machine, as something to ask by method names; at least one."""
    settings = Settings()
    folders = serving_folders(mirror_folder(settings))
    for folder in folders:
        yield _asking(folder)
    if not folders:
        yield from _own(settings)


def _asking(folder: Path) -> Ask:
    def ask(name: str, **options: Any) -> Any:
        return call(folder, name, **options)

    return ask


def _own(settings: Settings) -> Iterator[Ask]:
    """A mirror opened by this command, built first where there is none."""
    wanted = settings.model_copy(update={"mirror": True})
    with ready_servers(settings) as servers:
        keeper = keeper_of(wanted, servers, MirrorMetrics())
        assert keeper is not None  # noqa: S101 - it is wanted
        keeper.start()
        try:
            with Engines.connect(servers.reader) as engines:
                service = Service(keeper, engines)
                _wait_until_built(service.report)
                yield lambda name, told=None: getattr(service, name)(*([told] if told else []))
        finally:
            keeper.close()


def _wait_until_built(report: Callable[[], MirrorReport]) -> None:
    """Wait, with a bar, until there is a mirror to ask.

    Raises:
        Terminal: it can't be built; the message says why.
    """
    with _bar("Building the mirror") as show:
        while (found := report()).status.cause is not None:
            if found.status.failed:
                raise Terminal(f"The mirror can't be built: {found.status.doing}")
            if found.status.progress is not None:
                progress = found.status.progress
                show(progress.ranges, progress.of, f"{progress.rows:,} events")
            time.sleep(_POLL_SECONDS)


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
