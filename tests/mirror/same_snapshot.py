"""The answer of SQL in the very transaction in which the mirror took its look."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql

from analytics.engines.mirrored import MirrorEngine
from analytics.mirror.keeper import Keeper
from analytics.mirror.prepared import prepare
from analytics.questions.question import Question
from analytics.sql import statement


class _Asked:
    """A connection that answers the question by SQL before its transaction ends.

    A look that wants numbers alone sends the end along with its statements: that is put off.
    """

    def __init__(self, connection: psycopg.Connection[Any], witness: Witness) -> None:
        self._connection, self._witness = connection, witness

    def execute(self, query: sql.Composed) -> psycopg.Cursor[Any]:
        text = query.as_string(self._connection)
        return self._connection.execute(text.removesuffix("rollback"))  # type: ignore[arg-type]

    def rollback(self) -> None:
        try:
            self._witness.ask(self._connection)
        finally:
            self._connection.rollback()

    def __eq__(self, other: object) -> bool:
        """What this connection has prepared is known by the connection."""
        return self._connection is other

    def __hash__(self) -> int:
        return hash(self._connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Witness:
    """A mirror engine over somebody's keeper, and what SQL says in each of its snapshots.

    One thread's own. `pause` is how long, in seconds, it is held up between the file and the look.
    """

    def __init__(self, keeper: Keeper, pause: float = 0.0) -> None:
        self._keeper, self._pause = keeper, pause
        self._question: Question[Any] | None = None
        self._rows: tuple[Any, ...] | None = None
        self._engine = MirrorEngine(self)  # type: ignore[arg-type]  # all that engines ask of one

    def both(self, question: Question[Any]) -> tuple[Any, tuple[Any, ...]]:
        """The mirror's answer, and the rows that SQL gives in the same snapshot."""
        self._question, self._rows = question, None
        answer = self._engine.answer(question)
        assert self._rows is not None, "SQL was not asked in any snapshot"
        return answer, self._rows

    def ask(self, connection: psycopg.Connection[Any]) -> None:
        """By SQL, in the transaction that is open on this connection."""
        if connection.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
            return
        assert self._question is not None
        query = statement("postgres", self._question.name)
        found = connection.execute(query, self._question.parameters(), prepare=False).fetchall()
        self._rows = self._question.rows(found)

    @property
    def sessions(self) -> Witness:
        """In the place of the keeper's."""
        return self

    @contextmanager
    def connection(self, limit: timedelta | None = None) -> Iterator[_Asked]:
        time.sleep(self._pause)
        with self._keeper.sessions.connection(limit) as connection:
            prepare(connection)
            yield _Asked(connection, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keeper, name)
