"""Whether something between here and Postgres gives one session to several clients.

PgBouncer does with pool_mode = transaction or statement. Most of Tidemark would seem to work: but
a time limit set for one question would hold for somebody else's, a prepared statement would be
missing, and a load's temporary table another's. So it is refused at the start.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

import psycopg

from analytics.errors import Terminal

CONNECT_SECONDS: Final = 5
_ROUNDS: Final = 3


class SessionsShared(Terminal):
    """A pooler between Tidemark and Postgres shares sessions; let it pool by session."""

    code = "sessions_shared"


def require_sessions(url: str) -> None:
    """See to it that a connection is a session of Postgres's own.

    Raises:
        SessionsShared: It isn't, or not always.
        psycopg.Error: What Postgres says.
    """
    if shares_sessions(url):
        raise SessionsShared(
            "A pooler between Tidemark and Postgres gives one session to several clients; let it"
            " pool by session (PgBouncer: pool_mode = session), or name Postgres's own address."
        )


def shares_sessions(url: str) -> bool:
    """Whether two connections that are both open were served by one process of Postgres.

    True is certain. While others use the pooler, False may be luck.

    Raises:
        psycopg.Error: What Postgres says.
    """
    with ExitStack() as stack:
        connections = [
            stack.enter_context(
                psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
            )
            for _ in range(2)
        ]
        for _ in range(_ROUNDS):
            served = [
                connection.execute("select pg_backend_pid()", prepare=False).fetchone()
                for connection in connections
            ]
            if served[0] == served[1]:
                return True
    return False
