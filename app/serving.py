"""One process that serves the API on a socket which is open already, until it is told to stop."""

from __future__ import annotations

import gc
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from queue import Queue
from threading import Event, Thread

from pydantic import SecretStr
from uvicorn.config import STARTUP_FAILURE

from analytics.errors import Terminal
from app import logs
from app.accounts.secret_key import local_secret_key
from app.draining import DrainingServer
from app.http_protocol import uvicorn_config
from app.local.errors import ServerDied
from app.local.home import Home
from app.local.servers import check
from app.main import create_app
from app.servers import Servers
from app.serving_settings import ServingSettings
from app.settings import Registration, Settings

WATCH_SECONDS = 1.0
BACKLOG = 2048
MOST_FILES = 10_240  # macOS takes no more


class PortTaken(Terminal):
    """The port is in use by another program; choose another with --port."""

    code = "port_taken"


class NotStarted(Terminal):
    """The API could not start; the lines above say why."""

    code = "not_started"


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


def serve_until_stopped(
    settings: ServingSettings,
    found: Servers,
    listener: socket.socket,
    ready: Callable[[], None] = lambda: None,
    stop: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Run the API on `listener` until Ctrl-C or SIGTERM; requests under way are finished first.

    `ready` is called once it answers; `stop` with a function that stops it from another thread.

    Raises:
        BenchmarkExposed: The settings have a token for local use, and `listener` is for others.
        NotStarted: The API could not start; the log says why.
        ServerDied: A local server stopped under us.
    """
    _allow_connections()
    private = found.local and is_private(listener)
    complete = _with_servers(settings, found, private=private)
    configure_logs(settings)
    app = create_app(complete, local=private)
    server = DrainingServer(
        uvicorn_config(app, settings),
        app.state.drain,
        notice=settings.shutdown_notice,
        ready=ready,
    )

    def end() -> None:
        server.should_exit = True

    stop(end)
    gc.collect()
    gc.freeze()  # looking through all that was imported again holds a request up for 50 ms
    gc.set_threshold(10_000)  # by default looking through the young takes 5% of the time
    # uvicorn raises Ctrl-C again when it has stopped; here that is the ordinary end, not a failure.
    with watched(settings, found, end), suppress(KeyboardInterrupt):
        try:
            server.run(sockets=[listener])
        except SystemExit as error:
            if error.code != STARTUP_FAILURE:
                raise
    if not server.started:
        raise NotStarted


def _allow_connections() -> None:
    """As many open files as the process may give itself: it starts with 1,024 on most machines.

    Each connection is one. A server that has no more can't be asked whether it is alive either.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _with_servers(settings: Settings, found: Servers, *, private: bool) -> Settings:
    """The settings with the servers found, and what one's own servers need no setting for."""
    urls = {
        "database_url": SecretStr(found.writer),
        "database_reader_url": SecretStr(found.reader),
        "redis_url": SecretStr(found.redis) if found.redis else None,
        "temp_directory": found.spill,
    }
    if found.local:
        settings = _with_local_defaults(settings, private=private)
    return settings.model_copy(update=urls)


def _with_local_defaults(settings: Settings, *, private: bool) -> Settings:
    """With one's own servers a secret is made where none is given.

    Everybody may register, if that is everybody on this machine.
    """
    home = Home(settings.tidemark_home)
    key = settings.secret_key or SecretStr(local_secret_key(home))
    registration = settings.registration or (Registration.OPEN if private else None)
    return settings.model_copy(update={"secret_key": key, "registration": registration})


def is_private(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ip_address(listener.getsockname()[0]).is_loopback


def configure_logs(settings: Settings) -> None:
    """Has a server log as the settings say."""
    as_json = settings.log_format == "json"
    if settings.log_format == "auto":
        as_json = not sys.stderr.isatty()
    logs.configure(settings.log_level, as_json=as_json)


@contextmanager
def watched(settings: Settings, found: Servers, stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` when a local Postgres or Valkey dies meanwhile: nothing would start it again.

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
                stop()
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
