"""`tidemark serve` and `tidemark migrate`: what an operator runs."""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from queue import Queue
from threading import Event, Thread
from typing import Annotated

import typer
import uvicorn
from pydantic import SecretStr

from analytics.errors import Terminal
from app import logs
from app.accounts.secret_key import local_secret_key, secret_key
from app.cli.ready import ready_servers
from app.database import migrate as schema
from app.http_protocol import uvicorn_config
from app.local.errors import ServerDied
from app.local.home import Home
from app.local.servers import check
from app.main import create_app
from app.servers import Servers, servers
from app.settings import Registration, Settings

HostOption = Annotated[
    str | None, typer.Option("--host", help="Address to listen on.  [env: API_HOST]")
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.  [env: API_PORT]"
    ),
]


WATCH_SECONDS = 1.0
BACKLOG = 2048


class PortTaken(Terminal):
    """The port is in use by another program; choose another with --port."""

    code = "port_taken"


class NotStarted(Terminal):
    """The API could not start; the lines above say why."""

    code = "not_started"


def serve(host: HostOption = None, port: PortOption = None) -> None:
    """Serve the API until stopped.

    Uses the servers of DATABASE_URL and REDIS_URL, or the local ones of TIDEMARK_HOME.

    Example: tidemark serve --port 8080
    """
    settings = listening(Settings(), host, port)
    with bound_socket(settings) as listener, ready_servers(settings) as found:
        typer.echo(f"Serving {address(listener)}{settings.api_prefix} - Ctrl-C stops")
        serve_until_stopped(settings, found, listener)


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


def listening(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the flags' host and port, where given."""
    flags = {"api_host": host, "api_port": port}
    return settings.model_copy(
        update={name: value for name, value in flags.items() if value is not None}
    )


def bound_socket(settings: Settings) -> socket.socket:
    """A socket on the settings' address, taken before anything else is started.

    Raises:
        PortTaken: Another program listens there, or the address isn't this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api_host, settings.api_port))
        # From here on callers wait for the server to start instead of being refused.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Can't listen on {settings.api_host} port {settings.api_port}: {error.strerror}. "
            "Choose another with --port (and --host)."
        ) from error
    return listener


def address(listener: socket.socket) -> str:
    """The socket's address as people type it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve_until_stopped(settings: Settings, found: Servers, listener: socket.socket) -> None:
    """Run the API on `listener` until Ctrl-C or SIGTERM; requests under way are finished first.

    Raises:
        UnsafeSecretKey, BenchmarkExposed: The settings can't be used.
        NotStarted: The API could not start; the log says why.
        ServerDied: A local server stopped under us.
    """
    urls = {
        "database_url": SecretStr(found.writer),
        "database_reader_url": SecretStr(found.reader),
        "redis_url": SecretStr(found.redis) if found.redis else None,
        "temp_directory": found.spill,
    }
    private = found.local and _is_private(listener)
    if found.local:
        settings = _with_local_defaults(settings, private=private)
    secret_key(settings)  # here its refusal is one line, in uvicorn it would be a trace
    logs.configure(settings.log_level, as_json=_as_json(settings))
    app = create_app(settings.model_copy(update=urls), local=private)
    server = uvicorn.Server(uvicorn_config(app, settings))
    gc.collect()
    gc.freeze()  # looking through all that was imported again holds a request up for 50 ms
    # uvicorn raises Ctrl-C again when it has stopped; here that is the ordinary end, not a failure.
    with watched(settings, found, server), suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        raise NotStarted


def _with_local_defaults(settings: Settings, *, private: bool) -> Settings:
    """With one's own servers a secret is made where none is given.

    Everybody may register, if that is everybody on this machine.
    """
    home = Home(settings.tidemark_home)
    key = settings.secret_key or SecretStr(local_secret_key(home))
    registration = settings.registration or (Registration.OPEN if private else None)
    return settings.model_copy(update={"secret_key": key, "registration": registration})


def _is_private(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ip_address(listener.getsockname()[0]).is_loopback


def _as_json(settings: Settings) -> bool:
    if settings.log_format == "auto":
        return not sys.stderr.isatty()
    return settings.log_format == "json"


@contextmanager
def watched(settings: Settings, found: Servers, server: uvicorn.Server) -> Iterator[None]:
    """Stops `server` when a local Postgres or Valkey dies under it: nothing would start it again.

    Raises:
        ServerDied: One of them did.
    """
    over, died = Event(), Queue[ServerDied]()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            try:
                check(Home(settings.tidemark_home))
            except ServerDied as error:
                died.put(error)
                server.should_exit = True
                return

    watcher = Thread(target=watch, name="watch local servers", daemon=True)
    if found.local:
        watcher.start()
    try:
        yield
    finally:
        over.set()
    if not died.empty():
        raise died.get()
