"""`python -m benchmarks.page RUN.json`: docs/benchmarks.md and its plots, from a benchmark run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.markdown import circumstances, milliseconds, ratio, table
from benchmarks.mirror.page import keeping
from benchmarks.ways import NAMES, ROLLUP, SQL

ROOT: Final = Path(__file__).parents[1]
PUBLISHED: Final = ROOT / "benchmarks/results/benchmark.json"
OF_THE_MIRROR: Final = ROOT / "benchmarks/results/published-engines.json"
PAGE: Final = ROOT / "docs/benchmarks.md"
QUESTIONS_PLOT, HTTP_PLOT = "benchmarks-questions.svg", "benchmarks-http.svg"
LOADING_PLOT: Final = "benchmarks-loading.svg"

Run = dict[str, Any]
Medians = dict[tuple[int, str, str], float]

_INTRODUCTION: Final = """\
# SQL or DuckDB, and how much faster?

Written by `make benchmark-page` from the raw times of one run,
[benchmark.json](../benchmarks/results/benchmark.json); don't edit it. `make benchmark` measures
your own in some five minutes, `make bench-full` ten million events and loads of a million as well,
and `make benchmark_func FUNC=test_100k_dau` one function. Compare figures of one run with each
other, never with those of another day or machine. ClickHouse, and what exactness costs, are in
[mirror-figures.md](mirror-figures.md).
"""
_WAYS: Final = """\
Every answer was compared with SQL's before it was timed, and the events are the seeded ones of
[generate.py](../benchmarks/generate.py), whose hash is checked.
[test_questions.py](../benchmarks/test_questions.py) says what was expected, and what would make the
figures wrong.

- **postgres**: SQL on a copy of the table with every index that helps it, vacuumed, in memory
  ([baseline.py](../benchmarks/baseline.py)).
- **attached**: DuckDB fetching the rows from Postgres for each question.
- **mirror, raw columns**: the mirror for another time zone than the project's own.
- **mirror**: exact, from roll-ups, with a look at Postgres.
- **script**: plain DuckDB and Polars over a Parquet file of the same events. The file is as old as
  its last export; all others see what was committed a moment ago.
"""
_HTTP: Final = """\
Daily active users by `GET /api/stats/dau`, through the whole stack: key, limits, validation, the
mirror, JSON. One process of `tidemark serve`, or two, and the client work on the same cores. All
ask for the same 120 days, and the mirror keeps the answer until something is written; `other days`
are ranges of 84 to 120 days, none of which finds its answer kept. Every body was compared
([test_http_stats.py](../benchmarks/test_http_stats.py)).
"""
_LOADING: Final = """\
The second column is how many events were loaded. The last one compares a file with a bare COPY of
the very bytes that its load sends, just before each round: what reading, validating, deduplicating
and counting cost on top of what Postgres takes ([test_ingest.py](../benchmarks/test_ingest.py)).
Over HTTP come the key, the limits and JSON as well, and the client works on the same cores
([test_http.py](../benchmarks/test_http.py)).
"""
_KEEPING: Final = """\
Of another run, `make bench-mirror`: a mirror built from nothing, and one that follows while events
come in all the time and questions are asked ([building.py](../benchmarks/mirror/building.py),
[steady.py](../benchmarks/mirror/steady.py), [loading.py](../benchmarks/mirror/loading.py)).
"""


def page(run: Run, of_the_mirror: Run) -> str:
    """A run of the benchmarks, and one of those of the mirror, as Markdown."""
    return "\n".join((*_parts(run), *_mirror(of_the_mirror)))


def _parts(run: Run) -> Iterator[str]:
    yield _INTRODUCTION
    yield circumstances(run["taken_at"], run["machine_info"], run["benchmarks"])
    found = medians(run)
    yield f"![Milliseconds by question and way](images/{QUESTIONS_PLOT})\n"
    yield _WAYS
    for size in sorted({size for size, _, _ in found}):
        yield f"## {size:,} events\n\nMedians in milliseconds.\n"
        yield _answers(size, found)
    if loads := http(run):
        yield f"## Over HTTP, {loads[0]['size']:,} events\n"
        yield _HTTP
        yield f"![Requests a second by clients](images/{HTTP_PLOT})\n"
        yield _loads(loads)
    if loaded := loading(run):
        yield "## Loading\n"
        yield _LOADING
        yield f"![Events a second by the way they come in](images/{LOADING_PLOT})\n"
        yield _loaded(loaded)
    for case in _cases(run, "dau"):
        yield f"## {case['extra_info']['size']:,} events from a CSV file\n"
        yield (
            "Imported by `tidemark import`, then asked for daily active users of 120 days by one "
            f"client: {milliseconds(case['stats']['median'] * 1e3)} ms, the median of "
            f"{case['stats']['rounds']} ([test_dau.py](../benchmarks/test_dau.py)).\n"
        )


def _mirror(run: Run) -> Iterator[str]:
    yield f"## A mirror's build and lag, {run['database']['events']:,} events\n"
    yield _KEEPING
    yield circumstances(run["taken_at"], run["machine"], run)
    yield keeping(run)


def medians(run: Run) -> Medians:
    """Milliseconds by size, question and way."""
    return {
        (about["size"], about["question"], about["way"]): case["stats"]["median"] * 1e3
        for case in _cases(run, "question")
        for about in [case["extra_info"]]
    }


def http(run: Run) -> list[dict[str, Any]]:
    """Kind, clients, waits in ms and requests a second of each load, in order."""
    return [case["extra_info"] for case in _cases(run, "http")]


def loading(run: Run) -> list[dict[str, Any]]:
    """Way, events, rate in events a second, and share of a bare COPY's rate where there is one."""
    return [
        {**case["extra_info"], "rate": case["extra_info"]["events"] / case["stats"]["median"]}
        for case in _cases(run, "loading")
    ]


def _cases(run: Run, about: str) -> list[dict[str, Any]]:
    return [case for case in run["benchmarks"] if case["extra_info"].get("about") == about]


def _answers(size: int, found: Medians) -> str:
    questions = dict.fromkeys(question for at, question, _ in found if at == size)
    shown = [way for way in NAMES if any((size, name, way) in found for name in questions)]
    rows = []
    for name in questions:
        times = [milliseconds(found[size, name, way]) for way in shown]
        rows.append([name, *times, ratio(found[size, name, SQL] / found[size, name, ROLLUP])])
    return table(["question", *shown, "SQL : mirror"], rows)


def _loads(loads: list[dict[str, Any]]) -> str:
    rows = [
        [
            load["kind"],
            str(load["clients"]),
            milliseconds(load["p50_ms"]),
            milliseconds(load["p99_ms"]),
            f"{load['requests_per_second']:,.0f}",
        ]
        for load in loads
    ]
    return table(["asked", "clients", "p50, ms", "p99, ms", "requests/s"], rows)


def _loaded(loaded: list[dict[str, Any]]) -> str:
    rows = [
        [
            each["way"],
            f"{each['events']:,}",
            f"{each['rate']:,.0f}",
            f"{each['of_bare_copy']:.2f}" if "of_bare_copy" in each else "",
        ]
        for each in loaded
    ]
    return table(["way", "events", "events/s", "of a bare COPY's rate"], rows)


def main() -> None:
    """Publish the run that the command line names: its JSON, the page, the plots."""
    from benchmarks.plots import http_plot, loading_plot, questions_plot  # noqa: PLC0415 - needs an extra

    given = Path(sys.argv[1])
    if given.resolve() != PUBLISHED:
        shutil.copyfile(given, PUBLISHED)
    run = orjson.loads(PUBLISHED.read_bytes())
    images = PAGE.parent / "images"
    images.mkdir(exist_ok=True)
    questions_plot(medians(run)).save(images / QUESTIONS_PLOT)
    http_plot(http(run)).save(images / HTTP_PLOT)
    loading_plot(loading(run)).save(images / LOADING_PLOT)
    PAGE.write_text(page(run, orjson.loads(OF_THE_MIRROR.read_bytes())))


if __name__ == "__main__":
    main()
