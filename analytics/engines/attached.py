"""The engine `attached`: DuckDB over Postgres's live rows, nothing copied and kept.

Each question is one DuckDB transaction, which is one Postgres transaction: first its time, then one
scan, whose conditions Postgres evaluates. Statements that the extension makes up carry no comment;
in pg_stat_activity they go by the application name `tidemark attached`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import perf_counter
from typing import Any, Final, LiteralString, cast

import duckdb

from analytics.answer import Answer, Meta, RowT_co
from analytics.conninfo import place
from analytics.deadline import deadline
from analytics.duck import (
    DuckLimits,
    attach_postgres,
    is_of_postgres,
    lacks_memory,
    lock_down,
    open_database,
    transaction,
)
from analytics.engines.protocol import ASKED_FOR, TIMEOUT, Freshness, Tracer
from analytics.errors import DeadlineExceeded, Exhausted, Unreachable
from analytics.questions.question import Question, Value
from analytics.sql import statement
from analytics.sql.local_time import offset_us

APPLICATION: Final = "tidemark attached"

_PARAMETER: Final = re.compile(r"\$(\w+)")

# The inner text reaches Postgres as it stands. It opens the transaction that the scan will share,
# and limits its time, for interrupting DuckDB doesn't stop Postgres. As an option of the connection
# the limit would be refused by PgBouncer.
_BEGIN: Final[LiteralString] = """/* tidemark attached begin */
select as_of_us from postgres_query('pg', '/* tidemark attached begin */
    select (extract(epoch from transaction_timestamp()) * 1000000)::bigint as as_of_us
    from set_config(''statement_timeout'', ''{milliseconds}'', true)')"""


class AttachedEngine:
    """Answers in DuckDB from the rows as they are in Postgres now."""

    name: Final = "attached"

    def __init__(
        self,
        url: str,
        *,
        timeout: timedelta = TIMEOUT,
        tracer: Tracer | None = None,
        spill: Path | None = None,
        limits: DuckLimits | None = None,
    ) -> None:
        """Takes a libpq URL, best of a role that may only read. Connects when first asked.

        What a question can't hold in memory goes to a folder of this engine's own in the existing
        folder `spill`, by default in the system's folder for temporary files.
        """
        self._url = url
        self._timeout = timeout
        milliseconds = str(max(1, round(timeout.total_seconds() * 1000)))
        self._begin = _BEGIN.replace("{milliseconds}", milliseconds)
        self._tracer = tracer
        self._limits = limits or DuckLimits()
        self._spill = TemporaryDirectory(prefix="tidemark-duckdb-", dir=spill)
        self._numbers = count()
        self._opening = Lock()
        self._database: duckdb.DuckDBPyConnection | None = None

    def answer(
        self,
        question: Question[RowT_co],
        freshness: Freshness = Freshness.EXACT,  # noqa: ARG002 - live rows are always exact
    ) -> Answer[RowT_co]:
        """See `Engine.answer`."""
        started = perf_counter()
        with self._cursor() as cursor:
            [(as_of_us,)] = self._run(cursor, self._begin, {})
            found = self._run(cursor, *_compiled(question))
        rows = question.rows(found)
        as_of = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=as_of_us)
        return Answer(
            rows, Meta(self.name, ASKED_FOR, as_of, elapsed_ms=(perf_counter() - started) * 1000)
        )

    def version(self, question: Question[Any]) -> Meta | None:  # noqa: ARG002 - it can't know
        """See `Engine.version`."""
        return None

    def explain(self, question: Question[RowT_co]) -> str:
        """See `Engine.explain`."""
        sql, parameters = _compiled(question)
        with self._cursor() as cursor:
            plan = self._run(cursor, "explain " + sql, parameters)
        return "\n".join(str(text) for _, text in plan)

    def ping(self) -> None:
        """See `Engine.ping`."""
        with self._cursor() as cursor:
            self._run(cursor, self._begin, {})

    def close(self) -> None:
        """See `Engine.close`."""
        self._forget_database()
        self._spill.cleanup()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own with a deadline, in a transaction that the block ends or leaves."""
        started = inf
        try:
            with closing(self._open_cursor()) as cursor, transaction(cursor):
                started = perf_counter()
                with deadline(cursor, self._timeout):
                    yield cursor
        except duckdb.Error as error:
            if lacks_memory(error) or self._spill.name in str(error):
                raise Exhausted(
                    f"DuckDB lacks memory or disk for this question: {_gist(error)}; ask for a "
                    "shorter range or the engine postgres, or give it more"
                ) from error
            if not is_of_postgres(error):
                raise
            if perf_counter() - started >= self._timeout.total_seconds():
                raise DeadlineExceeded(
                    f"the query ran past its {self._timeout.total_seconds():g} s; "
                    "ask for a shorter range or raise the limit"
                ) from error
            self._forget_database()
            raise Unreachable(
                f"Postgres at {place(self._url)} can't be read: {_gist(error)}; "
                "see that it runs and ask again"
            ) from error

    def _open_cursor(self) -> duckdb.DuckDBPyConnection:
        """A new cursor on the database, which the first question opens."""
        with self._opening:
            if self._database is None:
                with ExitStack() as undo:
                    database = open_database(self._spill_directory(), self._limits)
                    undo.callback(database.close)
                    attach_postgres(database, self._url, APPLICATION)
                    lock_down(database)
                    undo.pop_all()
                self._database = database
            return self._database.cursor()

    def _spill_directory(self) -> Path:
        """A new one for each database: one just forgotten may still answer, and spill."""
        return Path(self._spill.name) / str(next(self._numbers))

    def _forget_database(self) -> None:
        """Attach anew for the next question; questions under way keep theirs until they end."""
        with self._opening:
            database, self._database = self._database, None
        if database is not None:
            database.close()

    def _run(
        self,
        cursor: duckdb.DuckDBPyConnection,
        sql: LiteralString,
        parameters: Mapping[str, Value],
    ) -> Sequence[Sequence[Any]]:
        started = perf_counter()
        rows = cursor.execute(sql, dict(parameters)).fetchall()
        if self._tracer:
            self._tracer(sql, parameters, (perf_counter() - started) * 1000, len(rows))
        return rows


def _compiled(question: Question[RowT_co]) -> tuple[LiteralString, Mapping[str, Value]]:
    """The question's statement with its offsets written in, and of its parameters those it names.

    DuckDB refuses parameters that a statement doesn't name.
    """
    given = question.parameters()
    begins_at, seconds = (
        cast("Sequence[int]", given[name]) for name in ("offset_begins", "offset_seconds")
    )
    template = statement(AttachedEngine.name, question.name)
    sql = template.replace("{offset_us}", offset_us(begins_at, seconds))
    return sql, {name: given[name] for name in _PARAMETER.findall(template)}


def _gist(error: Exception) -> str:
    """What the server or its address said, without the connection's parameters."""
    first_line = str(error).strip().splitlines()[0]
    return first_line.rpartition('": ')[2] or first_line
