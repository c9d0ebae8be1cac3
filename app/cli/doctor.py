"""`tidemark doctor`: what is wrong with an installation, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.doctor.examination import examined
from app.doctor.finding import Finding, Level
from app.problems import FAILURE
from app.servers import servers
from app.settings import Settings

_STYLES: Final = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "bold red"}


def doctor(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at servers, schema, rights, clock, disks, settings and mirrors; say what to do next.

    Exits with 1 if something doesn't work or soon won't. Changes nothing.

    Example: tidemark doctor
    """
    settings = Settings()
    with servers(settings) as found:
        findings = list(examined(settings, found))
    if json:
        typer.echo(orjson.dumps([asdict(each) for each in findings], option=orjson.OPT_INDENT_2))
    else:
        _show(findings)
    if any(each.level is Level.PROBLEM for each in findings):
        raise typer.Exit(FAILURE)


def _show(findings: list[Finding]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("", "part", "found"):
        table.add_column(title, overflow="fold")
    for each in findings:
        says = each.says if each.next_step is None else f"{each.says}\n-> {each.next_step}"
        table.add_row(each.level.value, each.part, says, style=_STYLES[each.level])
    Console().print(table)
