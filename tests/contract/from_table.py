"""The engine on files, given what lies in Postgres: so every question's rows are compared."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from analytics.engines.file import FileEngine
from analytics.file.reading import Reading
from analytics.file.source import arrow
from analytics.project import Project
from analytics.questions.question import Question
from tests.contract.reference_engine import events_in
from tests.data import event_table


class FromTable:
    """Reads a project's events anew whenever some came or went."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, question: Question[Any]) -> tuple[Any, ...]:
        table = event_table(events_in(self.url, question.project))
        with closing(file_engine(table, question.project)) as engine:
            return engine.answer(question).rows


def file_engine(table: Any, project: Project, reading: Reading | None = None) -> FileEngine:
    """The engine over a table's events in the project's calendar."""
    return FileEngine(arrow(table, {}), project, reading or Reading())
