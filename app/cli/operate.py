"""`tidemark serve` and `tidemark migrate`: what an operator runs."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from threading import Thread
from typing import Annotated

import typer

from app.cli.ready import ready_servers
from app.database import migrate as schema
from app.servers import servers
from app.serving import (
    address,
    bound_socket,
    configure_logs,
    serve_until_stopped,
    watched,
)
from app.serving_settings import ServingSettings
from app.settings import Settings
from app.workers import READY, Workers

HostOption = Annotated[
    str | None, typer.Option("--host", help="Address to listen on.  [env: API_HOST]")
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.  [env: API_PORT]"
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=64, help="Processes that serve, each with a mirror of its own."
    ),
]


def serve(host: HostOption = None, port: PortOption = None, workers: WorkersOption = None) -> None:
    """Serve the API until stopped.

    Uses the servers of DATABASE_URL and REDIS_URL, or the local ones of TIDEMARK_HOME. With several
    workers, SIGHUP puts new ones in their places, one by one, and no request fails.

    Example: tidemark serve --port 8080 --workers 2
    """
    settings = serving_settings(api_host=host, api_port=port, workers=workers)
    with bound_socket(settings) as listener, ready_servers(settings) as found:
        typer.echo(f"Serving {address(listener)}{settings.api_prefix} - Ctrl-C stops")
        if settings.workers == 1:
            serve_until_stopped(settings, found, listener)
            return
        configure_logs(settings)
        group = Workers(settings, listener)
        with watched(settings, found, group.stop):
            group.run()


def worker(descriptor: int) -> None:
    """Serve on an open socket; what `tidemark serve --workers` starts. Ends with its input."""
    with socket.socket(fileno=descriptor) as listener:
        settings = ServingSettings(api_host=listener.getsockname()[0])
        with servers(settings) as found:
            serve_until_stopped(settings, found, listener, _say_ready, _stop_with_input)


def _say_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()


def _stop_with_input(stop: Callable[[], None]) -> None:
    def wait() -> None:
        # Not sys.stdin: a thread inside its buffer aborts the interpreter's end.
        os.read(sys.stdin.fileno(), 1)
        stop()

    Thread(target=wait, name="watch parent", daemon=True).start()


def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail when the schema differs.")
    ] = False,
    downgrade: Annotated[
        str | None,
        typer.Option(
            metavar="REVISION", help="Go back to this revision; `base` removes everything."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a downgrade.")] = False,
) -> None:
    """Bring the database to this version's schema. Safe to start several times at once.

    Example: DATABASE_URL=postgresql://owner:secret@host/db tidemark migrate
    """
    with servers(Settings()) as found:
        if check:
            schema.check(found.owner)
            typer.echo("The schema is as this version needs it.")
        elif downgrade is not None:
            if not yes:
                typer.confirm(
                    f"Go back to {downgrade}? Tables that it lacks are dropped with their rows",
                    abort=True,
                )
            schema.downgrade(found.owner, downgrade)
            typer.echo(f"The schema is at {downgrade}.")
        else:
            schema.upgrade(found.owner)
            typer.echo("The schema is up to date.")


def serving_settings(**flags: str | int | None) -> ServingSettings:
    """The settings of a process that serves, with the flags where given."""
    return ServingSettings(
        **{name: value for name, value in flags.items() if value is not None}  # type: ignore[arg-type] # typer has checked them
    )
