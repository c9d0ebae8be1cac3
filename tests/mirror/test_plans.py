"""What the mirror reads for an answer: a stopwatch would differ from day to day, plans don't.

For the project's calendar an answer comes from counts, whatever lies above the tidemark, and no row
of events is read; for another one, from the raw columns of those days that were asked about.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from analytics.calendar import WeekStart
from analytics.engines.mirrored import RAW, ROLLUP, MirrorEngine
from analytics.mirror.store import Store
from analytics.mirror.sync import page_ranges
from analytics.project import Project
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.sql import statement
from benchmarks.generate import events
from benchmarks.load import copy_in
from benchmarks.mirror.live import live_events
from benchmarks.mirror.questions import ELSEWHERE, LAST_DAY, PROJECT, WEEK, questions
from tests.conftest import Database
from tests.mirror.hand_kept import HandKept

# Four row groups, in order of days.
SIZE = 400_000
SUNDAYS = Project(PROJECT.id, PROJECT.name, PROJECT.timezone, WeekStart.SUNDAY)
REMOVE_AN_OLD_ONE = """
delete from events where event_id in (
    select event_id from events where occurred_at < '2025-06-01' limit 1
)"""
FALLS = """
with ordered as (
    select row(project_id, day, type_key, user_key) as key, lag(key) over (order by rowid) as before
    from events
)
select count(*) from ordered where key < before"""
OTHERWISE = [
    *(pytest.param(question, id=name) for name, question in questions(ELSEWHERE).items()),
    pytest.param(Retention(SUNDAYS, LAST_DAY - timedelta(weeks=8), LAST_DAY), id="sundays"),
]


@pytest.fixture(scope="module")
def keeper(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HandKept]:
    asyncio.run(copy_in(module_database.writer, PROJECT.id, events(SIZE)))
    with HandKept(module_database, tmp_path_factory.mktemp("mirror")) as keeper:
        keeper.open_or_build()
        yield keeper


class Scans:
    """A cursor that keeps what each statement it is given reads: table by table, rows.

    A select is run by `explain analyze` beforehand, which counts rows; of any other statement only
    the tables are known.
    """

    def __init__(self, cursor: Any, found: list[tuple[str, int]]) -> None:
        self._cursor = cursor
        self._found = found

    def execute(self, sql: str, *parameters: Any) -> Any:
        words = sql.partition("*/")[2].split() or ["begin"]
        if words[0] in {"select", "with", "create"}:
            how = "" if words[0] == "create" else "analyze, "
            plan = self._cursor.execute(f"explain ({how}format json) {sql}", *parameters)
            for operator in json.loads(plan.fetchall()[0][1])["children" if how else slice(None)]:
                self._note(operator)
        return self._cursor.execute(sql, *parameters)

    def _note(self, operator: dict[str, Any]) -> None:
        about = operator.get("extra_info") or {}
        if "Table" in about:
            table = about["Table"].rpartition(".")[2]
            self._found.append((table, operator.get("operator_rows_scanned", 0)))
        for child in operator.get("children", []):
            self._note(child)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(table, rows) of every scan that a question makes."""
    found: list[tuple[str, int]] = []
    reading = Store.reading

    @contextmanager
    def noted(store: Store, limit: timedelta) -> Iterator[Any]:
        with reading(store, limit) as (cursor, state):
            yield Scans(cursor, found), state

    def glimpsed(store: Store, _: Any, sql: str, limit: timedelta) -> Any:
        with noted(store, limit) as (cursor, _):
            return cursor.execute(sql).fetchall()

    monkeypatch.setattr(Store, "reading", noted)
    monkeypatch.setattr(Store, "glimpse", glimpsed)
    return found


def test_events_lie_in_one_sorted_run_for_each_part_that_was_read(keeper: HandKept) -> None:
    with keeper.sessions.connection() as connection:
        parts = len(page_ranges(connection))
    with keeper.store().reading(timedelta(seconds=10)) as (cursor, _):
        (falls,) = cursor.execute(FALLS).fetchall()
    assert falls[0] < parts


def rows_of(table: str, scans: list[tuple[str, int]]) -> int:
    return sum(rows for name, rows in scans if name == table)


@pytest.mark.parametrize("name", questions(PROJECT))
def test_the_projects_calendar_is_answered_from_counts(
    keeper: HandKept, scans: list[tuple[str, int]], name: str
) -> None:
    answer = MirrorEngine(keeper).answer(questions(PROJECT)[name])

    counts = {"active_counts", "cohort_counts", "type_counts"}
    assert answer.meta.reason == ROLLUP
    assert {table for table, _ in scans} & counts
    assert "events" not in {table for table, _ in scans}
    # A few thousand counts: 120 days, 12 types, 120 x 120 cohorts; 400,000 events.
    assert sum(rows for _, rows in scans) < 20_000


@pytest.mark.parametrize("name", questions(PROJECT))
def test_a_tail_and_removals_read_no_event_of_the_file(
    keeper: HandKept, scans: list[tuple[str, int]], name: str
) -> None:
    seed = 1 + list(questions(PROJECT)).index(name)
    with keeper.paused():
        asyncio.run(copy_in(keeper.database.writer, PROJECT.id, live_events(500, seed)))
        with psycopg.connect(keeper.database.owner) as connection:
            connection.execute(REMOVE_AN_OLD_ONE)
        answer = MirrorEngine(keeper).answer(questions(PROJECT)[name])

    assert answer.meta.reason == ROLLUP
    assert "events" not in {table for table, _ in scans}


@pytest.mark.parametrize("question", OTHERWISE)
def test_another_calendar_is_answered_from_raw_columns(
    keeper: HandKept, scans: list[tuple[str, int]], question: Question[Any]
) -> None:
    answer = MirrorEngine(keeper).answer(question)

    assert answer.meta.reason == RAW
    assert not {table for table, _ in scans} & {"active_counts", "cohort_counts", "type_counts"}
    assert rows_of("events", scans) > 0


def test_a_week_reads_the_row_groups_of_that_week(
    keeper: HandKept, scans: list[tuple[str, int]]
) -> None:
    asked = questions(ELSEWHERE)
    engine = MirrorEngine(keeper)

    engine.answer(asked["DAU, 120 days"])
    everything = rows_of("events", scans)
    scans.clear()
    engine.answer(asked[WEEK])

    assert everything >= SIZE
    assert 0 < rows_of("events", scans) < everything / 3


@pytest.mark.parametrize("step", ["user_days", "first_days", "cohort_counts", "type_counts"])
def test_a_rollup_reads_its_projects_without_hashing_their_rows(
    keeper: HandKept, step: str
) -> None:
    """A table of the projects would be joined with; DuckDB hashes the larger side of a semi join.

    At fifty million events that took more memory than a mirror may have by default.
    """
    sql = statement("sync", f"rollup_{step}").replace("{projects}", "(1, 2)")
    with keeper.store().reading(timedelta(seconds=5)) as (cursor, _):
        plan = cursor.execute(f"explain {sql}").fetchall()[0][1]
    assert "SEMI" not in plan
