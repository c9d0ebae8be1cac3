"""The events of a file or a table, as a library asks about them: all in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from analytics import statements
from analytics.answer import Answer, Meta, RowT_co
from analytics.calendar import WeekStart
from analytics.connected import OWN_STATEMENT
from analytics.duck import transaction
from analytics.engines.file import FileEngine
from analytics.errors import UnknownEngine
from analytics.events import ProjectId
from analytics.file.load import Loaded
from analytics.file.reading import Reading
from analytics.file.source import Source
from analytics.project import Project
from analytics.questions.question import Question

_EPOCH = date(1970, 1, 1)


class Held:
    """One source's events. May be shared between threads."""

    def __init__(self, source: Source, reading: Reading, timeout: timedelta) -> None:
        """Reads the whole source.

        Raises:
            InvalidInput: it can't be read, lacks a column, or has rows that are no events.
            InvalidQuestion: week_start is no day that weeks start on.
        """
        # The plain word is checked and taken by Project itself.
        week_start: WeekStart = reading.week_start  # type: ignore[assignment]
        self.project = Project(ProjectId(1), source.name, reading.timezone, week_start)
        self._timeout = timeout
        self._engine = FileEngine(source, self.project, reading, timeout=timeout)

    @property
    def loaded(self) -> Loaded:
        """What became of the rows."""
        return self._engine.loaded

    def answer(self, question: Question[RowT_co], engine: str | None) -> Answer[RowT_co]:
        """See `Engine.answer`.

        Raises:
            UnknownEngine: an engine that needs Postgres is asked for.
        """
        if engine not in {None, FileEngine.name}:
            raise UnknownEngine(
                f"{engine!r} can't be asked about a file; ask for {FileEngine.name}, or for none",
                field="engine",
            )
        return self._engine.answer(question)

    def today(self) -> date:
        """The local day of the latest event: the file knows of nothing later."""
        return self.loaded.last or _EPOCH

    def sync(self) -> None:
        """Do nothing: the file was read once."""

    def statement(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None
    ) -> tuple[pa.Table, Meta]:
        """The rows of an analyst's statement; see `statements.run`."""
        started = time.perf_counter()
        with closing(self._engine.cursor()) as cursor, transaction(cursor):
            table = statements.run(cursor, sql, parameters, self.project.id, self._timeout)
        return table, self._engine.meta(started, OWN_STATEMENT)

    def close(self) -> None:
        """Let go of everything."""
        self._engine.close()
