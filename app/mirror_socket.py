"""How commands reach the process that holds the mirror: a socket beside the mirror's file.

A second process can't open the file, so `tidemark mirror` and `tidemark stats` ask the one that
has. Requests and answers are pickled, by `multiprocessing.connection`: only the folder's owner can
reach the socket (mode 0700), and whoever can do that could as well replace the program.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, TypeAlias

import psycopg

from analytics.answer import Answer
from analytics.engines.choose import Engines
from analytics.engines.protocol import Freshness
from analytics.errors import Terminal, TidemarkError, Unreachable
from analytics.mirror.home import held
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Status
from analytics.mirror.sync import Synced
from analytics.mirror.verify import Verified, verify
from analytics.questions.question import Question
from analytics.sessions import GRACE

log = logging.getLogger(__name__)

# Which database of which cluster, whatever address it has.
DATABASE: Final = """/* tidemark which database */
select
    (select system_identifier::text from pg_control_system()),
    (select oid::text from pg_database where datname = current_database())"""
Database: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class MirrorReport:
    """What `tidemark mirror status` shows.

    Attributes:
        status: what the keeper does.
        folder: where the file lies.
        bytes: size of the file, 0 without one.
        pid: of the process that holds it.
    """

    status: Status
    folder: Path
    bytes: int
    pid: int


class Service:
    """What can be asked for over the socket, by the name of the method."""

    def __init__(self, keeper: Keeper, engines: Engines) -> None:
        """Takes what the serving process holds."""
        self._keeper = keeper
        self._engines = engines

    def report(self) -> MirrorReport:
        """How the mirror is."""
        size = self._keeper.store().bytes() if self._keeper.status.cause is None else 0
        return MirrorReport(self._keeper.status, self._keeper.home.folder, size, os.getpid())

    def sync(self) -> Synced:
        """Brings the mirror up to date."""
        return self._keeper.sync()

    def rebuild(self) -> None:
        """Has the mirror built anew; returns at once."""
        self._keeper.rebuild()

    def verify(self, told: Callable[[int, int], None]) -> Verified:
        """Compares the mirror with Postgres, with syncs held off."""
        with self._keeper.paused() as store:
            return verify(store, self._keeper.sessions, told)

    def answer(
        self, question: Question[Any], engine: str | None, freshness: Freshness, database: Database
    ) -> Answer[Any]:
        """Answers a question about that database."""
        with self._keeper.sessions.connection(GRACE) as connection:
            row = connection.execute(DATABASE).fetchone()
        if row != database:
            raise OtherDatabase
        return self._engines.answer(question, engine, freshness)


class OtherDatabase(Terminal):
    """The Tidemark server of this data directory works with another database than this command."""

    code = "other_database"


class ServerUnreachable(Unreachable):
    """No Tidemark server holds a mirror here; start one with `tidemark serve`."""

    code = "no_server"


# How long nobody is let in where there was no thread or no file handle for the last caller.
_REST_SECONDS: Final = 0.5
_METHODS: Final = ("report", "sync", "rebuild", "verify", "answer")


@contextmanager
def served(keeper: Keeper, engines: Engines) -> Iterator[None]:
    """Answers on the socket in the keeper's folder for the length of the block."""
    path = keeper.home.socket
    path.unlink(missing_ok=True)
    with _short(path) as address, closing(Listener(address, "AF_UNIX")) as listener:
        service, over = Service(keeper, engines), Event()
        accepting = (listener, service, over)
        Thread(target=_accept, args=accepting, name="mirror-socket", daemon=True).start()
        try:
            yield
        finally:
            over.set()
            # accept() doesn't end when its socket is closed; a last caller does.
            with suppress(OSError), socket.socket(socket.AF_UNIX) as last:
                last.connect(address)


def _accept(listener: Listener, service: Service, over: Event) -> None:
    """Let callers in until it is over, whatever there is a shortage of meanwhile."""
    while not over.is_set():
        try:
            _let_in(listener, service)
        except (OSError, EOFError, MemoryError, RuntimeError) as error:
            if not over.is_set():
                why = {"error": type(error).__name__, "why": str(error)}
                log.warning("mirror.call_refused", extra=why)
                over.wait(_REST_SECONDS)


def _let_in(listener: Listener, service: Service) -> None:
    """The next caller; one for whom no thread can be started finds the line closed."""
    connection = listener.accept()
    try:
        Thread(target=_serve, args=(connection, service), name="mirror-call", daemon=True).start()
    except (MemoryError, RuntimeError):
        connection.close()
        raise


def _serve(connection: Connection[Any, Any], service: Service) -> None:
    with connection, suppress(EOFError, OSError):  # a caller that went away needs no answer
        name, arguments = connection.recv()
        if name not in _METHODS:
            connection.send(("error", Unreachable(f"{name!r} can't be asked for")))
            return
        more = (lambda *told: connection.send(("told", told)),) if name == "verify" else ()
        try:
            result = getattr(service, name)(*arguments, *more)
        except TidemarkError as error:
            connection.send(("error", error))
        except (psycopg.Error, OSError) as error:
            connection.send(("error", Unreachable(f"{type(error).__name__}: {error}")))
        else:
            connection.send(("result", result))


def call(
    folder: Path, name: str, *arguments: object, told: Callable[..., None] | None = None
) -> Any:
    """What the server that holds the mirror in `folder` answers.

    Raises:
        ServerUnreachable: it doesn't answer.
        TidemarkError: what it raised.
    """
    try:
        with _short(folder / "socket") as address, Client(address, "AF_UNIX") as connection:
            connection.send((name, arguments))
            while True:
                kind, value = connection.recv()
                if kind == "result":
                    return value
                if kind == "error":
                    raise value
                if told is not None:
                    told(*value)
    except (OSError, EOFError) as error:
        raise ServerUnreachable(
            f"The Tidemark server that holds {folder} doesn't answer: {error}"
        ) from error


def serving_folders(mirrors: Path) -> list[Path]:
    """The folders of mirrors that a living process holds and answers for."""
    return [folder for folder in held(mirrors) if (folder / "socket").exists()]


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The socket's path in a form that fits: the kernel takes 107 bytes, folders may be deeper."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
