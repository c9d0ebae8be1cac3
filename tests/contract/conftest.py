"""One database a module, in which every test has a project of its own, and all engines over it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from analytics.answer import RowT_co
from analytics.calendar import WeekStart
from analytics.engines.choose import Engines
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.question import Question
from analytics.reference.event import Event
from tests.conftest import Database
from tests.contract.from_table import FromTable
from tests.contract.mirrors import VARIANTS, Mirrored
from tests.contract.reference_engine import ReferenceEngine
from tests.data import copy_events
from tests.given_servers import given

Ask = Callable[[Question[RowT_co]], tuple[RowT_co, ...]]
# What answers by itself is tested once, and not again on every version of Postgres.
ALONE = () if given() else ("reference", "file")
_project_ids = itertools.count(1)


@pytest.fixture(scope="module")
def engines(module_database: Database) -> Iterator[Engines]:
    with Engines.connect(module_database.reader) as engines:
        yield engines


@pytest.fixture(scope="module")
def mirrored(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mirrored]:
    with closing(Mirrored(module_database, tmp_path_factory.mktemp("mirror"))) as mirrored:
        yield mirrored


@pytest.fixture(params=[*ALONE, "postgres", "attached", *VARIANTS])
def ask(
    request: pytest.FixtureRequest, module_database: Database, engines: Engines
) -> Ask[RowT_co]:
    """The rows of a question's answer, by the engine whose turn it is."""
    name: str = request.param
    if name in VARIANTS:
        mirrored: Mirrored = request.getfixturevalue("mirrored")
        return lambda question: mirrored.rows(name, question)
    if name == "reference":
        return ReferenceEngine(module_database.reader).rows
    if name == "file":
        return FromTable(module_database.reader).rows
    return lambda question: engines.answer(question, name).rows


class Shop:
    """A project with a calendar, into which a test puts events."""

    def __init__(self, url: str, project: Project) -> None:
        self.url, self.project = url, project

    def happens(self, *events: tuple[str, str] | tuple[str, str, str]) -> None:
        """Write (instant, user) or (instant, user, event type); instants are in UTC."""
        copy_events(self.url, (self._event(*event) for event in events))

    def _event(self, at: str, user_id: str, event_type: str = "look") -> Event:
        occurred_at = datetime.fromisoformat(at).replace(tzinfo=UTC)
        return Event(self.project.id, occurred_at, user_id, event_type)


@pytest.fixture
def make_shop(module_database: Database) -> Callable[..., Shop]:
    def make(timezone: str = "UTC", week_start: WeekStart = WeekStart.MONDAY) -> Shop:
        number = next(_project_ids)
        project = Project(ProjectId(number), f"shop {number}", timezone, week_start)
        return Shop(module_database.writer, project)

    return make
