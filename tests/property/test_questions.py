"""On streams of any kind, in any order, every engine answers as the reference does."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.calendar import WeekStart
from analytics.engines.choose import NAMES, Engines
from analytics.events import FIRST_INSTANT, LAST_INSTANT, ProjectId
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Plan
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from analytics.reference.event import Event
from tests.conftest import Database
from tests.contract.reference_engine import by_reference
from tests.data import copy_events

_numbers = itertools.count(1)

# Each zone with an instant around which its days are odd.
PLACES = [
    ("UTC", datetime(1970, 1, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2025, 3, 9, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2025, 11, 2, 6, tzinfo=UTC)),
    ("America/St_Johns", datetime(2006, 10, 29, 2, 31, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ("America/Toronto", datetime(1919, 3, 31, 4, 30, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2, 2, 20, tzinfo=UTC)),
    ("Pacific/Kiritimati", datetime(9998, 11, 30, tzinfo=UTC)),
]
FAR = st.sampled_from([FIRST_INSTANT, LAST_INSTANT])
USERS = st.sampled_from(["ann", "Ann", "bob", "ä", "1", "01"])
TYPES = st.sampled_from(["look", "Look", "buy", "é", "\uff5e", "🦦"])


@pytest.fixture(scope="module")
def engines(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engines]:
    """All of them; the mirror is synced in the background while events come in."""
    keeper = Keeper(Plan(tmp_path_factory.mktemp("mirror"), module_database.reader))
    keeper.open()
    keeper.start()
    with closing(keeper), Engines.connect(module_database.reader, keeper=keeper) as engines:
        yield engines


@st.composite
def streams(draw: st.DrawFn) -> tuple[Project, date, list[Event]]:
    """A project, a day around which its events happen, and the events in the order they came."""
    zone, middle = draw(st.sampled_from(PLACES))
    project = Project(
        ProjectId(next(_numbers)), "any", zone, draw(st.sampled_from(list(WeekStart)))
    )
    near = st.integers(-18 * 24 * 4, 18 * 24 * 4).map(lambda quarters: quarters * 900)
    close = st.integers(-7200, 7200)
    seconds = st.one_of(near, close).map(lambda second: middle + timedelta(seconds=second))
    ticks = st.sampled_from([timedelta(0), timedelta(microseconds=1)])
    instants = st.one_of(st.builds(lambda at, tick: at - tick, seconds, ticks), FAR)
    event = st.builds(Event, st.just(project.id), instants, USERS, TYPES)
    return project, middle.date(), draw(st.lists(event, max_size=40))


def questions(project: Project, middle: date, draw: st.DataObject) -> list[Question[Any]]:
    """All three, with ranges that lie anywhere about the events."""
    days = st.integers(-19, 19).map(lambda days: middle + timedelta(days=days))
    first, last = sorted((draw.draw(days), draw.draw(days)))
    window = draw.draw(st.integers(1, 7))
    return [
        Dau(project, DayRange(first, last)),
        TopEvents(project, DayRange(first, last), draw.draw(st.integers(1, 7))),
        Retention(project, first, draw.draw(days), window),
        Retention(project, first - timedelta(days=10), last, window),
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=streams(), data=st.data())
def test_engines_answer_as_the_reference_does(
    engines: Engines,
    module_database: Database,
    stream: tuple[Project, date, list[Event]],
    data: st.DataObject,
) -> None:
    project, middle, events = stream
    copy_events(module_database.writer, events)
    for question in questions(project, middle, data):
        expected = by_reference(question, events)
        for engine in NAMES:
            assert engines.answer(question, engine).rows == expected, engine


@settings(max_examples=50)
@given(stream=streams(), data=st.data())
def test_order_of_events_changes_nothing(
    stream: tuple[Project, date, list[Event]], data: st.DataObject
) -> None:
    project, middle, events = stream
    other = random.Random(1).sample(events, len(events))  # noqa: S311 - no secret
    for question in questions(project, middle, data):
        assert by_reference(question, other) == by_reference(question, events)


@settings(max_examples=50)
@given(stream=streams(), data=st.data())
def test_another_projects_events_change_nothing(
    stream: tuple[Project, date, list[Event]], data: st.DataObject
) -> None:
    project, middle, events = stream
    foreign = [event._replace(project_id=event.project_id + 1) for event in events]
    for question in questions(project, middle, data):
        assert by_reference(question, foreign + events) == by_reference(question, events)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=streams())
def test_events_of_all_days_are_the_events_of_the_range(
    engines: Engines, module_database: Database, stream: tuple[Project, date, list[Event]]
) -> None:
    project, middle, events = stream
    copy_events(module_database.writer, events)
    whole = DayRange(middle - timedelta(days=3), middle + timedelta(days=3))
    for engine in NAMES:
        by_day: dict[str, int] = {}
        for day in whole:
            for row in engines.answer(TopEvents(project, DayRange(day, day), 9), engine).rows:
                by_day[row.event_type] = by_day.get(row.event_type, 0) + row.count
        rows = engines.answer(TopEvents(project, whole, 9), engine).rows
        assert {row.event_type: row.count for row in rows} == by_day
