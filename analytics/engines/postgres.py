"""The engine `postgres`: plain SQL on Postgres.

It is the oracle, the fallback, and the baseline of every benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import tuple_row

from analytics.answer import Answer, Meta, RowT_co
from analytics.conninfo import place
from analytics.engines.protocol import ASKED_FOR, TIMEOUT, Freshness, Tracer
from analytics.errors import DeadlineExceeded, Unreachable
from analytics.questions.question import Question, Value
from analytics.sessions import GRACE, Borrowed, Connection, Pool, Sessions
from analytics.sql import statement

APPLICATION: Final = "tidemark postgres"

# All settings in one round trip. No jit: these plans are long in rows, not in steps to compile.
_BEGIN: Final[LiteralString] = """/* tidemark postgres begin */
select
    (extract(epoch from transaction_timestamp()) * 1000000)::bigint as as_of_us,
    set_config('transaction_read_only', 'on', true),
    set_config('statement_timeout', %(milliseconds)s::text, true),
    set_config('jit', 'off', true)"""


class PostgresEngine:
    """Answers on Postgres itself: one read-only transaction with a time limit for each question."""

    name: Final = "postgres"

    def __init__(
        self,
        database: str | Pool,
        *,
        timeout: timedelta = TIMEOUT,
        tracer: Tracer | None = None,
    ) -> None:
        """Takes a libpq URL, or a pool, which stays its owner's to close.

        With a URL nothing connects before the first question.
        """
        if isinstance(database, str):
            self._sessions: Sessions | Borrowed = Sessions(database, APPLICATION)
            self._place = place(database)
        else:
            self._sessions, self._place = Borrowed(database), "the pool's address"
        self._timeout = timeout
        self._tracer = tracer

    def answer(
        self,
        question: Question[RowT_co],
        freshness: Freshness = Freshness.EXACT,  # noqa: ARG002 - live rows are always exact
    ) -> Answer[RowT_co]:
        """See `Engine.answer`."""
        started = perf_counter()
        with self._transaction() as (connection, as_of):
            found = self._run(
                connection, statement(self.name, question.name), question.parameters()
            )
        rows = question.rows(found)
        return Answer(
            rows, Meta(self.name, ASKED_FOR, as_of, elapsed_ms=(perf_counter() - started) * 1000)
        )

    def version(self, question: Question[Any]) -> Meta | None:  # noqa: ARG002 - it can't know
        """See `Engine.version`."""
        return None

    def explain(self, question: Question[RowT_co]) -> str:
        """See `Engine.explain`."""
        with self._transaction() as (connection, _):
            plan = self._run(
                connection, "explain " + statement(self.name, question.name), question.parameters()
            )
        return "\n".join(str(line) for (line,) in plan)

    def ping(self) -> None:
        """See `Engine.ping`."""
        with self._transaction():
            pass

    def close(self) -> None:
        """See `Engine.close`; a pool handed in stays open."""
        self._sessions.close()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, datetime]]:
        """A read-only transaction, and the instant before which it sees all that was committed."""
        milliseconds = max(1, round(self._timeout.total_seconds() * 1000))
        try:
            with (
                self._sessions.connection(self._timeout + GRACE) as connection,
                connection.transaction(),
            ):
                [(as_of_us, *_)] = self._run(connection, _BEGIN, {"milliseconds": milliseconds})
                yield connection, datetime.fromtimestamp(0, UTC) + timedelta(microseconds=as_of_us)
        except psycopg.errors.QueryCanceled as error:
            raise DeadlineExceeded(
                f"Postgres stopped the query: its limit is {self._timeout.total_seconds():g} s; "
                "ask for a shorter range or raise the limit"
            ) from error
        except psycopg.OperationalError as error:
            raise Unreachable(
                f"Postgres at {self._place} can't be read: {str(error).splitlines()[0]}; "
                "see that it runs and ask again"
            ) from error

    def _run(
        self,
        connection: Connection,
        sql: LiteralString,
        parameters: Mapping[str, Value],
    ) -> Sequence[Sequence[Any]]:
        started = perf_counter()
        # Never prepared: a generic plan would fit any range, not the one asked for.
        with connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(sql, parameters, prepare=False).fetchall()
        if self._tracer:
            self._tracer(sql, parameters, (perf_counter() - started) * 1000, len(rows))
        return rows
