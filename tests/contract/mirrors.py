"""Mirrors for the contract: with and without a tail, with and without the questions' calendar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from analytics.project import Project
from analytics.questions.question import Question
from tests.conftest import Database
from tests.mirror.hand_kept import HandKept

# Name -> whether the project has a row with its calendar, whether half of its events are a tail.
VARIANTS = {
    "mirror": (False, False),
    "mirror, calendar": (True, False),
    "mirror, tail": (False, True),
    "mirror, calendar, tail": (True, True),
}
_PUT = """insert into projects (id, name, timezone, week_start) values (%s, %s, %s, %s)
on conflict (id) do update set timezone = excluded.timezone, week_start = excluded.week_start"""
# The same events in new versions: each is one removal and one row above the tidemark.
_TOUCH = """update events set properties = properties
where project_id = %s and get_byte(uuid_send(event_id), 15) %% 2 = 0"""


class Mirrored:
    """One mirror of a module's database, brought into the state that a variant is about."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._owner = psycopg.connect(database.owner, autocommit=True)
        self.keeper = HandKept(database, folder)
        self.keeper.start()
        self.keeper.open_or_build()

    def rows(self, variant: str, question: Question[Any]) -> tuple[Any, ...]:
        calendar, tail = VARIANTS[variant]
        self.know(question.project, calendar)
        self.keeper.sync()
        if tail:
            self._owner.execute(_TOUCH, [question.project.id])
        return self.keeper.engine.answer(question).rows

    def know(self, project: Project, calendar: bool = True) -> None:
        """See to it that the project has a row with its calendar, or none."""
        if calendar:
            row = (project.id, f"project {project.id}", project.timezone, project.week_start.value)
            self._owner.execute(_PUT, row)
        else:
            self._owner.execute("delete from projects where id = %s", [project.id])

    def close(self) -> None:
        self.keeper.close()
        self._owner.close()
