"""docs/cli.md, written from the commands themselves by `make docs`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from app.cli.main import app

INTRODUCTION = """# Commands

Every command takes `--help`. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some rows of an import
were rejected, 130 interrupted. An error is one line on stderr. Commands work with the servers of
`DATABASE_URL`, or with the local ones of `TIDEMARK_HOME`, which they start for their own duration
unless they run already.
"""


def reference() -> str:
    """The page, in Markdown."""
    sections = [INTRODUCTION]
    for name, command in _commands("tidemark", typer.main.get_command(app)):
        sections.append(f"\n## {name}\n\n{inspect.cleandoc(command.help or '')}\n")
        rows = list(_rows(command))
        if rows:
            sections.append("\n| option | meaning |\n|---|---|\n" + "".join(rows))
    return "".join(sections)


def _commands(name: str, command: object) -> Iterator[tuple[str, TyperCommand]]:
    if isinstance(command, TyperGroup):
        for child, inner in command.commands.items():
            yield from _commands(f"{name} {child}", inner)
    elif isinstance(command, TyperCommand) and not command.hidden:
        yield name, command


def _rows(command: TyperCommand) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            yield f"| `{(parameter.name or '').upper()}` | {parameter.help or ''} |\n"
        elif isinstance(parameter, TyperOption):
            default = (
                f" Default: {parameter.default}."
                if parameter.default not in {None, False, ""}
                else ""
            )
            required = " Required." if parameter.required else ""
            names = "`, `".join(parameter.opts)
            yield f"| `{names}` | {parameter.help or ''}{required}{default} |\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
