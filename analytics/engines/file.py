"""The engine `file`: events that were read once from a file or a table, without Postgres.

They lie in a DuckDB database in memory, laid out and counted as a mirror's, so the same SQL
answers. It holds one project with one calendar; nothing comes after it was loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import perf_counter
from typing import Any, Final, LiteralString
from uuid import uuid4

import duckdb

from analytics.answer import Answer, Meta, RowT_co
from analytics.deadline import deadline
from analytics.duck import lock_down, open_database, transaction
from analytics.engines.protocol import TIMEOUT, Freshness, Tracer
from analytics.errors import Closed, DeadlineExceeded, InvalidQuestion
from analytics.file.load import load
from analytics.file.reading import Reading
from analytics.file.source import Source
from analytics.mirror.store import Cursor
from analytics.project import Project
from analytics.questions.question import Question, Value
from analytics.sql import statement

REASON: Final = "the file's roll-ups"

_PARAMETER: Final = re.compile(r"\$(\w+)")
# Laid out as a mirror, the file is asked what a mirror is asked.
_SQL: Final = "mirror"


class FileEngine:
    """Answers from what a source said when it was read.

    Attributes:
        loaded: what became of its rows.
    """

    name: Final = "file"

    def __init__(
        self,
        source: Source,
        project: Project,
        reading: Reading,
        *,
        timeout: timedelta = TIMEOUT,
        tracer: Tracer | None = None,
    ) -> None:
        """Reads the whole source, whose events are the project's, in the project's calendar.

        Raises:
            InvalidInput: it can't be read, lacks a column, or has rows that are no events.
        """
        self._project = project
        self._timeout = timeout
        self._tracer = tracer
        self._closing = Lock()
        with ExitStack() as undo:
            spill = undo.enter_context(TemporaryDirectory(prefix="tidemark-file-"))
            database = open_database(Path(spill) / "spill", reading.limits)
            undo.callback(database.close)
            self.loaded = load(database, source, project, reading)
            lock_down(database)
            self._undo = undo.pop_all()
        self._database: duckdb.DuckDBPyConnection | None = database
        self._as_of = datetime.now(UTC)
        self._version = uuid4().hex

    def answer(
        self,
        question: Question[RowT_co],
        freshness: Freshness = Freshness.EXACT,  # noqa: ARG002 - a file is as new as it was
    ) -> Answer[RowT_co]:
        """See `Engine.answer`.

        Raises:
            InvalidQuestion: it is about another project, or by another calendar.
            Closed: the engine was closed.
        """
        started = perf_counter()
        sql, parameters = self._compiled(question)
        with closing(self.cursor()) as cursor, transaction(cursor):
            found = self._fetched(cursor, sql, parameters)
        rows = question.rows(found)
        return Answer(rows, self.meta(started))

    def version(self, question: Question[Any]) -> Meta | None:  # noqa: ARG002 - one for all
        """See `Engine.version`."""
        return self.meta(perf_counter())

    def explain(self, question: Question[RowT_co]) -> str:
        """See `Engine.explain`."""
        sql, parameters = self._compiled(question)
        with closing(self.cursor()) as cursor:
            plan = cursor.execute("explain " + sql, dict(parameters)).fetchall()
        return "\n".join(str(text) for _, text in plan)

    def ping(self) -> None:
        """See `Engine.ping`.

        Raises:
            Closed: the engine was closed.
        """
        self.cursor().close()

    def close(self) -> None:
        """See `Engine.close`; what was read is gone."""
        with self._closing:
            self._database = None
            self._undo.close()

    def cursor(self) -> Cursor:
        """A cursor of the caller's own on the database.

        Raises:
            Closed: the engine was closed.
        """
        with self._closing:
            if self._database is None:
                raise Closed
            return self._database.cursor()

    def meta(self, started: float, reason: str = REASON) -> Meta:
        """What an answer to a question that came at `started` says of itself."""
        elapsed_ms = (perf_counter() - started) * 1000
        return Meta(self.name, reason, self._as_of, elapsed_ms, data_version=self._version)

    def _compiled(self, question: Question[Any]) -> tuple[LiteralString, Mapping[str, Value]]:
        if question.project != self._project:
            raise InvalidQuestion(
                f"this file holds {self._project}, not {question.project}; "
                "read it again with the calendar that you want",
                field="project",
            )
        sql = statement(_SQL, question.name)
        given = question.parameters()
        return sql, {name: given[name] for name in set(_PARAMETER.findall(sql))}

    def _fetched(
        self, cursor: Cursor, sql: LiteralString, parameters: Mapping[str, Value]
    ) -> list[tuple[Any, ...]]:
        began = perf_counter()
        try:
            with deadline(cursor, self._timeout):
                rows = cursor.execute(sql, dict(parameters)).fetchall()
        except duckdb.InterruptException as error:
            raise DeadlineExceeded(
                f"the query ran past its {self._timeout.total_seconds():g} s; "
                "ask for a shorter range or raise the limit"
            ) from error
        except duckdb.Error as error:
            if self._database is None:  # closed by another thread meanwhile
                raise Closed from error
            raise
        if self._tracer:
            self._tracer(sql, parameters, (perf_counter() - began) * 1000, len(rows))
        return rows
