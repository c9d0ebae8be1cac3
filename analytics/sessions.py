"""psycopg connections for many threads: each has one to itself, and a few are kept for the next.

Why not a ConnectionPool: it connects in the background. A server that is down shows as a wait
without a reason, and one that is back may go unnoticed until a backoff ends. Here the thread that
needs a connection makes it, and hears at once why it can't. A caller who wants a pool may give the
engine one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from select import POLLIN, poll
from threading import Lock
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from analytics.conninfo import connection_parameters
from analytics.deadline import deadline

Connection: TypeAlias = psycopg.Connection[Any]
Pool: TypeAlias = ConnectionPool[Connection]

KEPT: Final = 4
GRACE: Final = timedelta(seconds=5)
"""How much later than its own time limit a server may answer before it is taken to hang."""


class Sessions:
    """Connections to one database, in autocommit, made when needed."""

    def __init__(self, url: str, application_name: str, kept: int = KEPT) -> None:
        """Takes a libpq URL, and how many connections at rest to keep; nothing connects yet."""
        self._conninfo = make_conninfo("", **connection_parameters(url, application_name))
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        self._lock = Lock()
        self._kept = kept

    @contextmanager
    def connection(self, limit: timedelta | None = None) -> Iterator[Connection]:
        """A connection of the caller's own for the length of the block, found to be alive.

        After `limit` it is closed under whoever still waits for an answer: a server that hangs
        keeps to no time limit of its own.

        Raises:
            psycopg.OperationalError: the server doesn't answer or doesn't let us in.
        """
        connection = self._alive() or psycopg.connect(self._conninfo, autocommit=True)
        with self._lock:
            self._used.add(connection)
        try:
            with _cut_off(connection, limit):
                yield connection
        finally:
            self._give_back(connection)

    def cut(self) -> None:
        """Closes the connections in use under whoever waits for an answer."""
        with self._lock:
            for connection in self._used:
                with suppress(psycopg.Error, OSError), closing(_Line(connection)) as line:
                    line.interrupt()

    def close(self) -> None:
        """Close the connections at rest; one in use is closed after its block."""
        with self._lock:
            idle, self._idle, self._kept = self._idle, [], 0
        for connection in idle:
            connection.close()

    def _alive(self) -> Connection | None:
        """A kept connection that still works, if there is one; those that don't are closed."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            try:
                # A server that ends says so, which makes the socket of a connection at rest
                # readable. Only then it is worth a round trip, the cheapest there is.
                if _is_readable(connection):
                    connection.execute("")
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            self._used.remove(connection)
            at_rest = connection.info.transaction_status is TransactionStatus.IDLE
            if at_rest and len(self._idle) < self._kept:
                self._idle.append(connection)
                return
        connection.close()


class Borrowed:
    """Connections of somebody else's pool, lent and limited as those of `Sessions` are."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @contextmanager
    def connection(self, limit: timedelta | None = None) -> Iterator[Connection]:
        """See `Sessions.connection`; how long to wait for one is the pool's to say."""
        with self._pool.connection() as connection, _cut_off(connection, limit):
            yield connection

    def close(self) -> None:
        """Leave the pool to its owner."""


@contextmanager
def _cut_off(connection: Connection, limit: timedelta | None) -> Iterator[None]:
    """After `limit` the connection is closed under whoever waits; None: never."""
    if limit is None:
        yield
        return
    with closing(_Line(connection)) as line, deadline(line, limit):
        try:
            yield
        except psycopg.OperationalError as error:
            if not line.is_cut:
                raise
            message = f"it has not answered for {limit.total_seconds():g} s"
            raise psycopg.OperationalError(message) from error


class _Line:
    """The way to the server, under a descriptor of its own: libpq may close its one at any time."""

    def __init__(self, connection: Connection) -> None:
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self.is_cut = False

    def interrupt(self) -> None:
        """Cuts it: whoever waits for the server finds that it has gone away."""
        self.is_cut = True
        with suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of the descriptor; the connection keeps its own."""
        self._socket.close()


def _is_readable(connection: Connection) -> bool:
    asked = poll()
    asked.register(connection, POLLIN)
    return bool(asked.poll(0))
