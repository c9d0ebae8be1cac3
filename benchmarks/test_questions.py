"""SQL on Postgres, DuckDB attached to it, and the mirror, on the same rows, by the whole engine.

Question: how long does each engine take for each question at a million events?
Hypothesis: DuckDB fetches every row of the range over the wire, so it wins where counting distinct
users is more work than fetching, and loses where Postgres only has to count. The mirror reads
counts and takes milliseconds for all of them.
Control: the answers are compared before anything is timed; the engines ask the same server, warm,
its table vacuumed and in memory. SQL gets the schema's own indexes here; what more indexes do for
it, and more of the mirror, is measured by `make bench-mirror`.
Command: make benchmark (BENCHMARK_EVENTS=10000000 for more).
What would make it wrong: a busy machine. Compare the medians of one run with each other, never with
those of another day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from analytics.engines.choose import Engines
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from benchmarks.conftest import PROJECT
from benchmarks.generate import DAYS, FIRST_DAY

LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)
MONTH = DayRange(LAST_DAY - timedelta(days=29), LAST_DAY)
SPAN = DayRange(FIRST_DAY, LAST_DAY)
QUESTIONS = {
    "dau, 30 days": Dau(PROJECT, MONTH),
    "dau, 120 days": Dau(PROJECT, SPAN),
    "top 10 events, 120 days": TopEvents(PROJECT, SPAN),
    "retention, 8 weeks": Retention(PROJECT, LAST_DAY - timedelta(weeks=8), LAST_DAY),
}


@pytest.mark.parametrize("engine", ["postgres", "attached", "mirror"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_question(benchmark: BenchmarkFixture, engines: Engines, name: str, engine: str) -> None:
    question: Any = QUESTIONS[name]
    expected = engines.answer(question, "postgres").rows
    assert engines.answer(question, engine).rows == expected

    benchmark.group = name
    answer = benchmark.pedantic(  # type: ignore[no-untyped-call]  # has no types
        engines.answer, (question, engine), rounds=7, warmup_rounds=2
    )
    assert answer.rows == expected
