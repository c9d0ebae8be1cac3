"""psycopg connections for many threads: each has one to itself, and a few are kept for the next.

Why not a ConnectionPool: it connects in the background. A server that is down shows as a wait
without a reason, and one that is back may go unnoticed until a backoff ends. Here the thread that
needs a connection makes it, and hears at once why it can't. A caller who wants a pool may give the
engine one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from select import POLLIN, poll
from threading import Lock
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from analytics.conninfo import connection_parameters

Connection: TypeAlias = psycopg.Connection[Any]

KEPT: Final = 4


class Sessions:
    """Connections to one database, in autocommit, made when needed."""

    def __init__(self, url: str, application_name: str) -> None:
        """Takes a libpq URL; nothing connects yet."""
        self._conninfo = make_conninfo("", **connection_parameters(url, application_name))
        self._idle: list[Connection] = []
        self._lock = Lock()
        self._kept = KEPT

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection of the caller's own for the length of the block, found to be alive.

        Raises:
            psycopg.OperationalError: the server doesn't answer or doesn't let us in.
        """
        connection = self._alive() or psycopg.connect(self._conninfo, autocommit=True)
        try:
            yield connection
        finally:
            self._give_back(connection)

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
            at_rest = connection.info.transaction_status is TransactionStatus.IDLE
            if at_rest and len(self._idle) < self._kept:
                self._idle.append(connection)
                return
        connection.close()


def _is_readable(connection: Connection) -> bool:
    asked = poll()
    asked.register(connection, POLLIN)
    return bool(asked.poll(0))
