"""The `tidemark` command: its sub-commands, and errors as one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some rows of an import were rejected, 130
interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.main import get_command

from analytics.errors import TidemarkError
from app import logs, wrong_settings
from app.cli import (
    backup,
    doctor,
    expire,
    key,
    load,
    mirror,
    operate,
    project,
    stats,
    up,
    user,
)
from app.local.signals import stop_on_signals
from app.problems import FAILURE, INTERRUPTED, outcome_of

app = typer.Typer(
    name="tidemark",
    help="Product analytics: Postgres holds the events, DuckDB answers the questions, "
    "and the two never disagree.",
    epilog="Start here: tidemark up",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.command()(operate.serve)
app.command(hidden=True)(operate.worker)
app.command()(operate.migrate)
app.command()(doctor.doctor)
app.command()(backup.backup)
app.command()(backup.restore)
app.command("import")(load.import_events)
app.command()(expire.expire)
app.add_typer(stats.app, name="stats")
app.add_typer(mirror.app, name="mirror")
app.add_typer(project.projects, name="project")
app.add_typer(key.keys, name="key")
app.add_typer(user.app, name="user")


@app.callback()
def options(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what happens to stderr.")
    ] = False,
) -> None:
    """Options that go before the command."""
    logs.configure("info" if verbose else "warning", as_json=False)


def run() -> None:
    """The entry point: runs the command and exits."""
    try:
        with stop_on_signals():
            code = _command()(prog_name="tidemark", standalone_mode=False)
    except typer.TyperException as error:
        code = _say(error.format_message(), error.exit_code)
    except TidemarkError as error:
        code = _say(str(error), outcome_of(error).exit_code)
    except ValidationError as error:
        code = _say(wrong_settings.message(error), FAILURE)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`): nothing is left to say, and no stream to say it on.
        sys.stderr.close()
        code = FAILURE
    sys.exit(code)


@cache
def _command() -> Callable[..., Any]:
    """All commands, put together once a process."""
    return get_command(app)


def _say(message: str, code: int) -> int:
    """Writes one line to stderr, if there is something to say (not after a page of help)."""
    if message:
        sys.stderr.write(f"tidemark: {' '.join(message.split())}\n")
    return code
