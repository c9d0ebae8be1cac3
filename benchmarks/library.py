"""From a Parquet file to answers in Python, without Postgres.

Question: how long does it take until the first answer, and how long do later ones take?
Hypothesis: reading, counting and keeping ten million events takes under six seconds on two cores, a
later answer under 20 ms, for it reads the counts.
Control: plain DuckDB over the same file, what one would write in a script, gives the same daily
users and the same counts before any time counts; its times stand beside. Five rounds, each a
process of its own; within each, twenty later answers to a question.
Command: make bench-library (BENCHMARK_EVENTS=1000000 for fewer).
What would make it wrong: a busy machine (the first line says how busy it was); a file that the
system doesn't hold in memory, so it is read once before.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import duckdb
import pyarrow.parquet

from analytics import Analytics
from benchmarks.generate import DAYS, FIRST_DAY, events
from benchmarks.machine import alone, facts
from benchmarks.mirror.scale import FULL_SIZE
from benchmarks.own_process import in_own_process, peak_mb

ROUNDS: Final = 5
LATER: Final = 20

_DAU: Final = """
select occurred_at::timestamp::date as day, count(distinct user_id) from read_parquet($file)
group by day order by day"""
_TOP: Final = """
select event_type, count(*) as events from read_parquet($file)
group by event_type order by events desc, event_type limit 10"""


class Round(NamedTuple):
    """One process: seconds to the first answer, medians of later ones in ms, and memory in MB."""

    first: float
    processor: float
    dau: float
    top_events: float
    retention: float
    memory: float


def one_round(file: Path) -> Round:
    """From the file to its first answer, and then more of them."""
    began, worked = time.perf_counter(), time.process_time()
    held = Analytics.from_parquet(file)
    first, last = FIRST_DAY, held.today()
    held.dau(first, last)
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    questions = (
        lambda: held.dau(first, last),
        lambda: held.top_events(first, last),
        lambda: held.retention(first, today=last),
    )
    dau, top, retention = (median(_milliseconds(ask) for _ in range(LATER)) for ask in questions)
    return Round(seconds, processor, dau, top, retention, peak_mb())


def plain(file: Path) -> tuple[float, float]:
    """Milliseconds of DuckDB over the file, each time from the beginning: DAU, top events."""
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set TimeZone = 'UTC'")
    given = {"file": str(file)}
    ask: tuple[Callable[[], object], ...] = (
        lambda: connection.execute(_DAU, given).fetchall(),
        lambda: connection.execute(_TOP, given).fetchall(),
    )
    dau, top = (median(_milliseconds(each) for _ in range(ROUNDS)) for each in ask)
    return dau, top


def require_same_answers(file: Path) -> None:
    """Compare the library's answers with those of plain DuckDB."""
    with Analytics.from_parquet(file) as held, duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        given = {"file": str(file)}
        days = [(row.day, row.dau) for row in held.dau(FIRST_DAY, held.today()) if row.dau]
        assert days == connection.execute(_DAU, given).fetchall()
        counts = [(row.event_type, row.count) for row in held.top_events(FIRST_DAY, held.today())]
        assert counts == connection.execute(_TOP, given).fetchall()


def main() -> None:
    """Measure and print."""
    size = int(os.environ.get("BENCHMARK_EVENTS", "10000000"))
    count = ROUNDS if size >= FULL_SIZE else 1
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        file = Path(folder) / "events.parquet"
        pyarrow.parquet.write_table(events(size), file, compression="zstd")
        in_own_process(require_same_answers, file)
        with alone() as busy:
            rounds = [in_own_process(one_round, file) for _ in range(count)]
            dau, top = in_own_process(plain, file)
        megabytes = file.stat().st_size / 1e6
    middle = Round(*(median(each) for each in zip(*rounds, strict=True)))
    lines = (
        f"{size:,} events over {DAYS} days, {megabytes:,.0f} MB of Parquet; {facts()}",
        f"others used {busy:.0%} of the machine before; medians of {count} processes",
        f"from the file to the first answer {middle.first:7.2f} s",
        f"  processor {middle.processor:.2f} s, memory {middle.memory:,.0f} MB",
        f"later: DAU, {DAYS} days  {middle.dau:7.1f} ms  (plain DuckDB {dau:,.0f} ms)",
        f"later: top events     {middle.top_events:7.1f} ms  (plain DuckDB {top:,.0f} ms)",
        f"later: retention      {middle.retention:7.1f} ms",
        f"first answers, each round: {', '.join(f'{each.first:.2f}' for each in rounds)} s",
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _milliseconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
