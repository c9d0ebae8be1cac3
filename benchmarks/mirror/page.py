"""Results as a page of tables: `python -m benchmarks.mirror.page RESULT.json ... > docs/...`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

from benchmarks.markdown import circumstances, milliseconds, ratio, table
from benchmarks.mirror.asking import ATTACHED, CLICKHOUSE, EXACT, OTHER, OWN, POSTGRES, STALE
from benchmarks.mirror.figures import Result, figures
from benchmarks.mirror.freshness import AGAIN, EMPTY, REMOVALS, TAIL
from benchmarks.mirror.loading import WITH, WITHOUT
from benchmarks.timing import Times, medians

_INTRODUCTION: Final = """\
# Figures of the mirror

Written by `make mirror-figures` from the raw times in
[benchmarks/results](../benchmarks/results); don't edit it. `make bench-mirror` and
`make bench-mirror-growth` measure again. What each measurement compares, and what would make it
wrong, is said at the top of the modules in [benchmarks/mirror](../benchmarks/mirror). Compare
figures of one run with each other, never with those of another day or machine. Every answer was
compared before it was timed.
"""
_ENGINES: Final = """\
- **postgres**: the engine's SQL, on a copy of the table with every index that helps it, vacuumed,
  in memory; settings and what was tried are in [baseline.py](../benchmarks/baseline.py).
- **attached**: DuckDB fetching the rows from Postgres for each question.
- **mirror**: exact, with the look at Postgres; **freshness=mirror**: as of the last sync, without
  it.
- **clickhouse**: the same rows in a MergeTree table ordered by (project, day, event type, user),
  two threads, asked within its process ([clickhouse.py](../benchmarks/clickhouse.py)). For the
  project's own calendar **a roll-up of the mirror stands against raw rows of ClickHouse**: roll-ups
  can be made there too, but somebody has to keep them right. For another time zone both read raw
  columns.
"""
_EXACTNESS: Final = """\
### What exactness costs

Medians in milliseconds: exact, after one more row has come or gone; exact when asked again, for
what lies above the tidemark is looked up once for all questions that see the same; as of the last
sync.
"""


def page(results: Iterable[Result]) -> str:
    """All results in the order given, as Markdown."""
    parts = [_INTRODUCTION]
    for result in results:
        parts += _growth(result) if result["what"] == "growth" else _mirror(result)
    return "\n".join(parts)


def _mirror(result: Result) -> Iterator[str]:
    database = result["database"]
    yield f"## {database['events']:,} events, {database['users']:,} users, 120 days\n"
    yield circumstances(result["taken_at"], result["machine"], result)
    yield _ENGINES
    answers = result["answers"]
    yield "### The project's own calendar: roll-ups\n\nMedians in milliseconds.\n"
    yield _answers(answers[OWN], (POSTGRES, ATTACHED, CLICKHOUSE, STALE, EXACT))
    yield "### Another time zone: raw columns\n"
    yield _answers(answers[OTHER], (POSTGRES, CLICKHOUSE, EXACT))
    yield _EXACTNESS
    yield _freshness(result["freshness"])
    yield "### Keeping a mirror\n"
    yield keeping(result)
    yield "### What is wanted\n"
    yield _targets(result)


def _growth(result: Result) -> Iterator[str]:
    sizes = result["sizes"]
    yield "## Growth\n"
    yield circumstances(result["taken_at"], result["machine"], result)
    yield "Medians in milliseconds of exact answers; 33 events a user, 120 days at every size.\n"
    heads = ["question", *(f"{size['events']:,}" for size in sizes), "grows"]
    rows = []
    for calendar in (OWN, OTHER):
        found = [medians(size[calendar]) for size in sizes]
        for name in found[0]:
            times = [each[name] for each in found]
            row = [milliseconds(each) for each in times]
            rows.append([f"{name}, {calendar}", *row, f"{times[-1] / times[0]:.2f}x"])
    builds = [size["build"] for size in sizes]
    rows.append(["first build, s", *(f"{each['seconds'][0]:.1f}" for each in builds), ""])
    rows.append(["bytes an event", *(f"{each['bytes_per_event']}" for each in builds), ""])
    rows.append(["memory, MB", *(f"{each['peak_mb'][0]:,}" for each in builds), ""])
    yield table(heads, rows)
    yield _targets(result)


def _answers(answers: dict[str, Times], engines: Sequence[str]) -> str:
    shown = [name for name in engines if any(name in times for times in answers.values())]
    heads = ["question", *shown, "SQL : mirror"]
    if CLICKHOUSE in shown:
        heads.append("ClickHouse : mirror")
    rows = []
    for name, times in answers.items():
        found = medians(times)
        row = [name, *(milliseconds(found[engine]) for engine in shown)]
        row.append(ratio(found[POSTGRES] / found[EXACT]))
        if CLICKHOUSE in shown:
            row.append(ratio(found[CLICKHOUSE] / found[EXACT]))
        rows.append(row)
    return table(heads, rows)


def _freshness(freshness: dict[str, Any]) -> str:
    above = (EMPTY, TAIL, REMOVALS)
    counts = {TAIL: f"{freshness['tail']:,} ", REMOVALS: f"{freshness['removals']:,} "}
    heads = ["question", *(counts.get(name, "") + name for name in above)]
    rows = []
    for question in freshness[EMPTY]:
        found = [medians(freshness[name][question]) for name in above]
        rows.append([question, *(_three(each) for each in found)])
    return table(heads, rows)


def _three(found: dict[str, float]) -> str:
    return ", ".join(milliseconds(found[name]) for name in (EXACT, AGAIN, STALE) if name in found)


def keeping(result: Result) -> str:
    """The table of what a mirror takes: its build, its file, its memory, how far it is behind."""
    build, steady, loading = (result[part] for part in ("build", "steady", "loading"))
    exact = sorted(each for times in steady["exact"].values() for each in times)
    loader, lags = steady["loader"], steady["lag_seconds"]
    speeds = f"{median(loading[WITHOUT]):,.0f} and {median(loading[WITH]):,.0f} events/s"
    rows = [
        ["first build", f"{median(build['seconds']):.1f} s"],
        ["its file", f"{build['bytes_per_event']} bytes an event"],
        ["memory of the process, build and all questions", f"{max(build['peak_mb']):,} MB"],
        [
            f"steady ingest of {steady['rate']:,} events/s",
            f"{loader['events']:,} events in {loader['seconds']} s",
        ],
        ["behind, median and worst", f"{median(lags):.2f} s, {max(lags):.2f} s"],
        [
            "exact answers meanwhile, median and one in twenty above",
            f"{milliseconds(median(exact))} ms, {milliseconds(exact[int(len(exact) * 0.95)])} ms",
        ],
        ["a loader at full speed, without and with a mirror", speeds],
    ]
    return table(["", "found"], rows)


def _targets(result: Result) -> str:
    rows = [
        [each.name, each.shown(each.found), each.target, "yes" if each.met else "**no**"]
        for each in figures(result)
    ]
    return table(["figure", "found", "wanted", "met"], rows)


if __name__ == "__main__":
    sys.stdout.write(page(orjson.loads(Path(name).read_bytes()) for name in sys.argv[1:]))
