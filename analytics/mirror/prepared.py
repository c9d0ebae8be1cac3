"""The statements of every look at Postgres, which it plans once a connection.

To parse and plan them takes twice as long as to run them, and a question waits for both.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

import psycopg
from psycopg import sql

from analytics.sql import statement

_PREPARE: Final = sql.SQL("""/* tidemark mirror prepare */
prepare tidemark_history(uuid) as {history};
prepare tidemark_tail_size(bigint, integer, integer, integer) as {tail_size}""")

_prepared: Final[WeakSet[psycopg.Connection[Any]]] = WeakSet()


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Prepare both statements, unless this connection has them.

    Raises:
        psycopg.Error: what Postgres says, for instance that there is no such table; the connection
            is closed.
    """
    if connection in _prepared:
        return
    number = sql.SQL
    statements = _PREPARE.format(
        history=sql.SQL(statement("sync", "history")).format(mirror_id=number("$1")),
        tail_size=sql.SQL(statement("sync", "tail_size")).format(
            horizon=number("$1"),
            project_id=number("$2"),
            most_rows=number("$3"),
            most_removals=number("$4"),
        ),
    )
    try:
        connection.execute(statements)
    except psycopg.Error:
        # It may have one of the two by now, and couldn't be given both.
        connection.close()
        raise
    _prepared.add(connection)


def history(mirror_id: UUID) -> sql.Composable:
    """The statement that reads `analytics/sql/sync/history.sql`, on a prepared connection."""
    return sql.SQL("execute tidemark_history({})").format(sql.Literal(mirror_id))


def tail_size(horizon: int, project_id: int, most_rows: int, most_removals: int) -> sql.Composable:
    """The statement that reads `analytics/sql/sync/tail_size.sql`, on a prepared connection."""
    numbers = sql.SQL(", ").join(map(sql.Literal, (horizon, project_id, most_rows, most_removals)))
    return sql.SQL("execute tidemark_tail_size({})").format(numbers)
