"""`python -m benchmarks.mirror [growth]`: measure, keep the raw times as JSON, print the tables."""

from __future__ import annotations

import os
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
from benchmarks.mirror.freshness import measure_freshness
from benchmarks.mirror.keeping import ready_mirror
from benchmarks.mirror.loading import measure_loading
from benchmarks.mirror.page import page
from benchmarks.mirror.scale import Scale
from benchmarks.mirror.steady import measure_steady

RESULTS: Final = Path(__file__).parents[1] / "results"
DEFAULT_EVENTS: Final = 10_000_000


def run(size: int, told: Console) -> dict[str, Any]:
    """Everything at one size; a result as `page` takes it."""
    scale = Scale.of(size)
    result: dict[str, Any] = _head("mirror")
    told.print(f"Making and loading {size:,} events")
    with database(size) as filled:
        result["database"] = filled.facts
        told.print("A copy with indexes for SQL")
        baseline.prepare(filled.urls.admin)
        told.print("Building mirrors")
        result["build"] = measure_builds(filled, scale.builds)
        with ready_mirror(filled.mirrors, filled.urls) as keeper:
            told.print("Asking every engine")
            result["answers"] = measure_answers(filled, keeper, scale)
            told.print("Exact answers with a tail and with removals")
            result["freshness"] = measure_freshness(filled, keeper, scale)
            told.print(f"{scale.rate:,} events a second for {scale.seconds} s")
            result["steady"] = measure_steady(filled, keeper, scale)
        told.print("Loads with and without a mirror")
        result["loading"] = measure_loading(filled, scale)
    return result


def run_growth(sizes: tuple[int, ...], told: Console) -> dict[str, Any]:
    """The mirror alone, at each of the sizes."""
    result = _head("growth")
    result["sizes"] = []
    for size in sizes:
        told.print(f"{size:,} events")
        result["sizes"].append(growth.measure_size(size))
    return result


def main() -> None:
    """Measure what the command line names, at BENCHMARK_EVENTS."""
    told = Console(stderr=True)
    given = os.environ.get("BENCHMARK_EVENTS")
    if sys.argv[1:] == ["growth"]:
        sizes = (int(given),) if given else growth.SIZES
        result = run_growth(sizes, told)
    else:
        result = run(int(given or DEFAULT_EVENTS), told)
    RESULTS.mkdir(exist_ok=True)
    name = f"{result['what']}-{result['taken_at'][:16].replace(':', '')}.json"
    kept = Path(os.environ.get("BENCHMARK_RESULT", RESULTS / name))
    kept.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.write(page([result]))
    told.print(f"Raw times: {kept}")


def _head(what: str) -> dict[str, Any]:
    return {
        "what": what,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.facts(),
    }


if __name__ == "__main__":
    main()
