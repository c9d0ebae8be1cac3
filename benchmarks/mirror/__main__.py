"""`python -m benchmarks.mirror [growth]`: measure, keep the raw times as JSON, print the tables."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console

from benchmarks import baseline, machine
from benchmarks.mirror import growth
from benchmarks.mirror.asking import measure_answers
from benchmarks.mirror.building import measure_builds
from benchmarks.mirror.database import database
from benchmarks.mirror.figures import Result
from benchmarks.mirror.freshness import measure_freshness
from benchmarks.mirror.keeping import ready_mirror
from benchmarks.mirror.loading import measure_loading
from benchmarks.mirror.page import page
from benchmarks.mirror.scale import Scale
from benchmarks.mirror.steady import measure_steady

RESULTS: Final = Path(__file__).parents[1] / "results"
DEFAULT_EVENTS: Final = 10_000_000


class Run:
    """One run's result; every part is kept as soon as it is there."""

    def __init__(self, what: str) -> None:
        """Starts with the circumstances."""
        now = datetime.now(UTC)
        self.result: Result = {
            "what": what,
            "taken_at": now.isoformat(timespec="seconds"),
            "machine": machine.facts(),
        }
        name = f"{what}-{now:%Y-%m-%dT%H%M}.json"
        self.kept = Path(os.environ.get("BENCHMARK_RESULT", RESULTS / name))
        self._told = Console(stderr=True)

    def tell(self, what: str) -> None:
        """Say what comes next, on stderr."""
        self._told.print(f"{datetime.now(UTC):%H:%M:%S} {what}", highlight=False)

    def keep(self, part: str, found: Any) -> None:
        """Add a part to the result and write all of it down."""
        self.result[part] = found
        self.kept.parent.mkdir(exist_ok=True)
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        self.kept.write_bytes(orjson.dumps(self.result, option=options))


def measure(size: int) -> Run:
    """Everything at one size."""
    run, scale = Run("mirror"), Scale.of(size)
    run.tell(f"{size:,} events are made and loaded")
    with database(size) as filled:
        run.keep("database", filled.facts)
        run.tell("a copy with indexes, for SQL")
        baseline.prepare(filled.urls.admin)
        run.tell("builds")
        run.keep("build", measure_builds(filled, scale.builds))
        with ready_mirror(filled.mirrors, filled.urls) as keeper:
            run.tell("every engine is asked")
            run.keep("answers", measure_answers(filled, keeper, scale))
            run.tell("exact answers with a tail and with removals")
            run.keep("freshness", measure_freshness(filled, keeper, scale))
            run.tell(f"{scale.rate:,} events a second for {scale.seconds} s")
            run.keep("steady", measure_steady(filled, keeper, scale))
        run.tell("loads with and without a mirror")
        run.keep("loading", measure_loading(filled, scale))
    return run


def measure_growth(sizes: tuple[int, ...]) -> Run:
    """The mirror alone, at each of the sizes."""
    run = Run("growth")
    found: list[Result] = []
    for size in sizes:
        run.tell(f"{size:,} events")
        found.append(growth.measure_size(size))
        run.keep("sizes", found)
    return run


def main() -> None:
    """Measure what the command line names, at BENCHMARK_EVENTS, and print the page."""
    # Ended from outside, it still stops its servers and removes gigabytes of files.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    given = os.environ.get("BENCHMARK_EVENTS")
    if sys.argv[1:] == ["growth"]:
        run = measure_growth((int(given),) if given else growth.SIZES)
    else:
        run = measure(int(given or DEFAULT_EVENTS))
    sys.stdout.write(page([run.result]))
    run.tell(f"raw times: {run.kept}")


if __name__ == "__main__":
    main()
