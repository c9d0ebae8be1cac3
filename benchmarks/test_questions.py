"""Each question by each engine, and as one would do it in a script, on the same rows.

Question: "SQL or DuckDB, and how much faster?"
Hypothesis: the mirror's roll-ups take milliseconds for every question and hardly grow with the
events; its raw columns, which answer for another time zone, are several times faster than SQL.
DuckDB attached to Postgres fetches every row of the range, so it wins where counting distinct users
is more work than fetching, and loses where Postgres only has to count. A script over Parquet lies
near the raw columns, and has to be handed a new file whenever an event has come or gone.
Control: every way's answer is compared with SQL's before it is timed, and after. SQL is asked on a
copy of the table with every index that helps it, vacuumed and in memory (benchmarks.baseline). Two
rounds to warm up, then at least seven, whose raw times are kept. The mirror has no answer kept when
it is asked. The events are the seeded ones of benchmarks.generate; their hash is checked.
Command: make benchmark; make bench-full for ten million as well.
What would make it wrong: a busy machine, so each case notes how busy others keep it; compare
medians of one run with each other, never with those of another day. The raw columns are asked by
another calendar than SQL, with days that begin three hours earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from analytics.project import Project
from benchmarks.conftest import SIZES
from benchmarks.mirror.database import database
from benchmarks.mirror.questions import PROJECT, questions
from benchmarks.ways import NAMES, POLARS, RAW, ROLLUP, SQL, Rows, Way, ways

WARM_UP, ROUNDS, ROUNDS_IN_MILLISECONDS = 2, 7, 31


@dataclass(frozen=True, slots=True)
class Asked:
    """So many events, the ways to ask about them, and SQL's answers, each asked for once."""

    size: int
    ways: Mapping[str, Way]
    expected: Callable[[Project, str], Rows]


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size:,}")
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """Every way, open, on a server of its own."""
    with database(request.param) as filled, ways(filled) as found:

        @cache
        def expected(project: Project, name: str) -> Rows:
            return found[SQL].answer(questions(project)[name])

        yield Asked(request.param, found, expected)


@pytest.mark.parametrize("way", NAMES)
@pytest.mark.parametrize("name", questions(PROJECT))
def test_question(benchmark: BenchmarkFixture, asked: Asked, name: str, way: str) -> None:
    if way == POLARS:
        pytest.importorskip("polars", reason="polars is not installed (the extra `notebook`)")
    found = asked.ways[way]
    question: Any = questions(found.project)[name]
    expected = asked.expected(found.project, name)
    assert expected
    assert found.answer(question) == expected

    benchmark.group = f"{name}, {asked.size:,} events"
    benchmark.extra_info |= {"about": "question", "size": asked.size, "question": name, "way": way}
    rounds = ROUNDS_IN_MILLISECONDS if way in {RAW, ROLLUP} else ROUNDS
    answer = benchmark.pedantic(  # type: ignore[no-untyped-call]  # has no types
        found.answer, (question,), rounds=rounds, warmup_rounds=WARM_UP
    )
    assert answer == expected
