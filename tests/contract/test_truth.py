"""Real events with known answers, loaded in the file's order and in another: all engines agree.

The truth has null where a week lies past the data's last one; those cells aren't compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import date
from functools import cache
from typing import Any

import pytest

from analytics.calendar import WeekStart
from analytics.engines.choose import Engines
from analytics.engines.file import FileEngine
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from analytics.reference.event import Event
from tests.conftest import Database
from tests.contract.conftest import ALONE
from tests.contract.from_table import file_engine
from tests.contract.mirrors import Mirrored
from tests.contract.reference_engine import by_reference
from tests.data import (
    NAMES,
    ZONES,
    copy_events,
    data_set,
    event_table,
    of_project,
    shuffled,
    span,
    truth,
)

CASES = [(name, order) for name in NAMES for order in ("as in the file", "shuffled")]
# The reference loops; that it gives one answer in any order is shown by the property tests.
RUNS = [
    pytest.param(engine, case, id=f"{engine} {' '.join(case)}")
    for engine in (*ALONE, "postgres", "attached", "mirror", "mirror, half a tail")
    for case in CASES
    if (engine, case[1]) != ("reference", "shuffled")
]
Answering = Callable[[Question[Any]], tuple[Any, ...]]


@pytest.fixture(scope="module")
def loaded(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Answering]]:
    """Every engine over every data set in both orders, each a project: 1 to 4."""
    events: dict[int, list[Event]] = {}
    for number, (name, order) in enumerate(CASES, start=1):
        ordered = data_set(name) if order == "as in the file" else shuffled(data_set(name))
        events[number] = of_project(number, ordered)
        copy_events(module_database.writer, events[number][::2])

    @cache
    def by_file(project: Project) -> FileEngine:
        return files.enter_context(closing(file_engine(event_table(events[project.id]), project)))

    folder = tmp_path_factory.mktemp("mirrors")
    with (
        ExitStack() as files,
        closing(Mirrored(module_database, folder / "half")) as half,
        closing(Mirrored(module_database, folder / "whole")) as whole,
        Engines.connect(module_database.reader) as engines,
    ):
        for each in events.values():
            copy_events(module_database.writer, each[1::2])

        def by_own_calendar(asked: Question[Any]) -> tuple[Any, ...]:
            whole.know(asked.project)
            whole.keeper.sync()
            return whole.keeper.engine.answer(asked).rows

        yield {
            "mirror": by_own_calendar,
            "mirror, half a tail": lambda asked: half.keeper.engine.answer(asked).rows,
            "reference": lambda asked: by_reference(asked, events[asked.project.id]),
            "postgres": lambda asked: engines.answer(asked, "postgres").rows,
            "attached": lambda asked: engines.answer(asked, "attached").rows,
            "file": lambda asked: by_file(asked.project).answer(asked).rows,
        }


def project(
    case: tuple[str, str], zone: str = "UTC", week: WeekStart = WeekStart.MONDAY
) -> Project:
    return Project(ProjectId(CASES.index(case) + 1), " ".join(case), zone, week)


# In which order events were written has nothing to do with zones.
@pytest.mark.parametrize(
    ("engine", "case", "zone"),
    [
        pytest.param(*run.values, zone, id=f"{run.id}-{zone}")
        for run in RUNS
        for zone in ("UTC", *ZONES)
        if zone == "UTC" or run.values[1][1] != "shuffled"
    ],
)
def test_dau_is_true(
    loaded: dict[str, Answering], engine: str, case: tuple[str, str], zone: str
) -> None:
    known = truth(case[0])
    expected = known["dau"] if zone == "UTC" else known["dau_tz"][zone]
    rows = loaded[engine](Dau(project(case, zone), DayRange(*span(case[0]))))
    assert {row.day.isoformat(): row.dau for row in rows if row.dau} == expected


@pytest.mark.parametrize(("engine", "case"), RUNS)
def test_top_events_are_true(
    loaded: dict[str, Answering], engine: str, case: tuple[str, str]
) -> None:
    expected = [(name, count) for name, count, _ in truth(case[0])["top_events"]]
    for limit in (10, 1000):
        rows = loaded[engine](TopEvents(project(case), DayRange(*span(case[0])), limit))
        assert [(row.event_type, row.count) for row in rows] == expected[:limit]


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_top_events_of_each_year_are_true(
    loaded: dict[str, Answering], case: tuple[str, str]
) -> None:
    for year, counts in truth(case[0])["top_events_by_year"].items():
        days = DayRange(date(int(year), 1, 1), date(int(year), 12, 31))
        for engine in ("postgres", "attached", "file", "mirror", "mirror, half a tail"):
            rows = loaded[engine](TopEvents(project(case), days, 1000))
            found = [(row.event_type, row.count) for row in rows]
            assert found == [(name, count) for name, count, _ in counts], (engine, year)


@pytest.mark.parametrize("week_start", WeekStart)
@pytest.mark.parametrize(("engine", "case"), RUNS)
def test_retention_is_true(
    loaded: dict[str, Answering], engine: str, case: tuple[str, str], week_start: WeekStart
) -> None:
    known = truth(case[0])
    expected = known["retention_week" if week_start == "monday" else "retention_week_sunday"]
    first, last = span(case[0])
    rows = loaded[engine](Retention(project(case, week=week_start), first, last, 9))
    found = {row.cohort.isoformat(): row for row in rows if row.size}
    assert found.keys() == expected.keys()
    for cohort, cells in expected.items():
        assert found[cohort].size == cells[0]
        shown = [cell.active for cell in found[cohort].weeks]
        assert [a if c is not None else None for a, c in zip(shown, cells, strict=True)] == cells
