"""The ways to have a question answered that are measured side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from analytics.engines.choose import Engines
from analytics.engines.postgres import PostgresEngine
from analytics.project import Project
from analytics.questions.question import Question
from benchmarks import baseline
from benchmarks.mirror.database import Database
from benchmarks.mirror.keeping import asked_first, ready_mirror
from benchmarks.mirror.questions import ELSEWHERE, PROJECT
from benchmarks.scripts import by_duckdb, by_polars, connected

TIMEOUT: Final = timedelta(minutes=10)
SQL, ATTACHED, ROLLUP, RAW = "postgres", "attached", "mirror", "mirror, raw columns"
DUCKDB, POLARS = "script: DuckDB", "script: Polars"
NAMES: Final = (SQL, ATTACHED, RAW, ROLLUP, DUCKDB, POLARS)

Rows = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """How to answer, and by whose calendar: the raw columns answer for another than the roll-ups'.

    Attributes:
        project: whose questions it is asked.
        answer: the rows of one of them.
    """

    project: Project
    answer: Callable[[Question[Any]], Rows]


@contextmanager
def ways(database: Database) -> Iterator[Mapping[str, Way]]:
    """All of NAMES, over the same events. SQL is asked on a copy with every index that helps it."""
    baseline.prepare(database.urls.admin)
    reader = database.urls.reader
    with (
        ready_mirror(database.mirrors, database.urls) as keeper,
        Engines.connect(reader, timeout=TIMEOUT, keeper=keeper) as engines,
        closing(PostgresEngine(baseline.address(reader), timeout=TIMEOUT)) as copy,
        closing(connected()) as script,
    ):
        mirror = asked_first(keeper, partial(_by_engine, engines, "mirror"))
        yield {
            SQL: Way(PROJECT, lambda question: copy.answer(question).rows),
            ATTACHED: Way(PROJECT, partial(_by_engine, engines, ATTACHED)),
            RAW: Way(ELSEWHERE, mirror),
            ROLLUP: Way(PROJECT, mirror),
            DUCKDB: Way(PROJECT, partial(by_duckdb, script, database.parquet)),
            POLARS: Way(PROJECT, partial(by_polars, database.parquet)),
        }


def _by_engine(engines: Engines, name: str, question: Question[Any]) -> Rows:
    return engines.answer(question, name).rows
