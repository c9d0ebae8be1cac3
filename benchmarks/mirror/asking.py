"""Every engine, and ClickHouse, asked the same questions in turns.

Question: how long does each engine take for each question, and how many times faster is the mirror
than SQL on Postgres and than ClickHouse?
Hypothesis: the mirror's counts answer DAU and retention 500 times faster than SQL on a copy of the
table with every index that helps it, top events 100 times; 20 and 10 times faster than ClickHouse,
which reads its raw table. Its raw columns, which answer for another calendar, are 8 times faster
than SQL for DAU, and no more than 2.2 times slower than ClickHouse.
Control: all answers are compared before anything is timed. Engines take turns, so a disturbance
meets all of them; what answers in milliseconds is asked once untimed just before, so that none
pays for caches that another has emptied. The mirror has no answer kept when it is timed. Each is
asked through its whole engine: parameters, connection, rows.
Command: make bench-mirror.
What would make it wrong: comparing a roll-up with raw rows and not saying so; a ClickHouse set up
worse than people would (see benchmarks.clickhouse) or an SQL worse than Postgres can do (see
benchmarks.baseline); a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any, Final

from analytics.engines.choose import Engines
from analytics.engines.postgres import PostgresEngine
from analytics.engines.protocol import Freshness
from analytics.mirror.keeper import Keeper
from analytics.questions.question import Question
from benchmarks import baseline, clickhouse
from benchmarks.machine import alone
from benchmarks.mirror.database import Database
from benchmarks.mirror.keeping import asked_first
from benchmarks.mirror.questions import ELSEWHERE, PROJECT, questions
from benchmarks.mirror.scale import Scale
from benchmarks.own_process import executor
from benchmarks.timing import Times, in_turns, milliseconds

TIMEOUT: Final = timedelta(minutes=10)
POSTGRES, ATTACHED, EXACT, STALE, CLICKHOUSE = (
    "postgres", "attached", "mirror", "mirror, freshness=mirror", "clickhouse"
)  # fmt: skip
OWN, OTHER = "own calendar", "another time zone"

Way = Callable[[Question[Any]], tuple[tuple[Any, ...], float]]


def measure_answers(database: Database, keeper: Keeper, scale: Scale) -> dict[str, Any]:
    """Raw milliseconds by calendar, question and engine."""
    found: dict[str, Any] = {OWN: {}, OTHER: {}, "others_busy": []}
    with (
        Engines.connect(database.urls.reader, timeout=TIMEOUT, keeper=keeper) as engines,
        closing(PostgresEngine(baseline.address(database.urls.reader), timeout=TIMEOUT)) as copy,
        executor() as other_process,
    ):
        ways = _ways(copy, engines, keeper)
        if clickhouse.installed():
            run = partial(_elsewhere, other_process)
            run(clickhouse.open_table, database.folder / "clickhouse", database.parquet)
            found["clickhouse_version"] = run(clickhouse.version)
            found["clickhouse_bytes"] = run(clickhouse.table_bytes)
            ways[CLICKHOUSE] = partial(run, clickhouse.answer)
        for calendar, project in ((OWN, PROJECT), (OTHER, ELSEWHERE)):
            with alone() as others:
                for name, question in questions(project).items():
                    found[calendar][name] = _timed(question, ways, scale, calendar)
            found["others_busy"].append(others)
    return found


def _ways(copy: PostgresEngine, engines: Engines, keeper: Keeper) -> dict[str, Way]:
    mirror = asked_first(keeper, partial(engines.answer, engine="mirror"))
    return {
        POSTGRES: partial(_clocked, copy.answer),
        ATTACHED: partial(_clocked, partial(engines.answer, engine=ATTACHED)),
        EXACT: partial(_clocked, mirror),
        STALE: partial(_clocked, partial(mirror, freshness=Freshness.MIRROR)),
    }


def _clocked(ask: Callable[..., Any], question: Question[Any]) -> tuple[tuple[Any, ...], float]:
    rows: list[tuple[Any, ...]] = []
    took = milliseconds(lambda: rows.append(ask(question).rows))
    return rows[0], took


def _timed(question: Question[Any], ways: dict[str, Way], scale: Scale, calendar: str) -> Times:
    """Slow ways once a round, fast ones several times; by another calendar, without `attached`.

    That engine fetches every row whatever the calendar, and has been timed with the own one.
    """
    slow = [POSTGRES] if calendar == OTHER else [POSTGRES, ATTACHED]
    fast = [EXACT, CLICKHOUSE] if calendar == OTHER else [EXACT, STALE, CLICKHOUSE]
    expected = ways[POSTGRES](question)[0]
    for name in (*slow, *fast):
        if name in ways:
            assert ways[name](question)[0] == expected, f"{name} answers {question} otherwise"

    def measured(name: str) -> float:
        if name in fast:
            ways[name](question)
        rows, took = ways[name](question)
        assert rows == expected
        return took

    times: Times = {}
    for _ in range(scale.rounds):
        for names, repeats in ((slow, 1), (fast, scale.repeats)):
            cases = {name: partial(measured, name) for name in names if name in ways}
            for name, taken in in_turns(cases, rounds=repeats).items():
                times.setdefault(name, []).extend(taken)
    return times


def _elsewhere(process: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    return process.submit(function, *arguments).result()
