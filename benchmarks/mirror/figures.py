"""The figures the project wants to reach, each worked out from raw times, and whether it is met.

No test asserts any of them: they are true of one run on one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import ge, le
from statistics import median
from typing import Any, Final

from benchmarks.mirror.asking import CLICKHOUSE, EXACT, OTHER, OWN, POSTGRES, STALE
from benchmarks.mirror.freshness import EMPTY, REMOVALS, TAIL
from benchmarks.mirror.loading import WITH, WITHOUT
from benchmarks.mirror.questions import DAU, RETENTION, TOP
from benchmarks.timing import Times, medians

Result = dict[str, Any]

_SQL_TARGETS: Final = {DAU: 500, RETENTION: 500, TOP: 100}
_CLICKHOUSE_TARGETS: Final = {DAU: 20, RETENTION: 20, TOP: 10}
_KEPT_RATE: Final = 0.98
_SYMBOLS: Final[dict[Callable[[Any, Any], Any], str]] = {ge: "at least", le: "at most"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what it is, what was found, what is wanted, in the same unit."""

    name: str
    found: float
    holds: Callable[[Any, Any], Any]
    wanted: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as wanted."""
        return bool(self.holds(self.found, self.wanted))

    @property
    def target(self) -> str:
        """What is wanted, in words."""
        return f"{_SYMBOLS[self.holds]} {self.shown(self.wanted)}"

    def shown(self, value: float) -> str:
        """A value with its unit, to three digits."""
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        number = f"{value:,.{digits}f}"
        return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{self.unit}"


def figures(result: Result) -> list[Figure]:
    """All of a run's, in order."""
    return list(_of_growth(result) if result["what"] == "growth" else _of_mirror(result))


def _of_mirror(result: Result) -> Iterator[Figure]:
    yield from _of_rollups(result["answers"][OWN])
    yield from _of_raw_columns(result["answers"][OTHER])
    yield from _of_freshness(result["freshness"])
    yield from _of_keeping(result)


def _of_rollups(answers: dict[str, Times]) -> Iterator[Figure]:
    for name, wanted in _SQL_TARGETS.items():
        found = medians(answers[name])
        ratio = found[POSTGRES] / found[EXACT]
        yield Figure(f"{name}: exact, faster than SQL", ratio, ge, wanted, "x")
    for name, wanted in _CLICKHOUSE_TARGETS.items():
        found = medians(answers[name])
        if CLICKHOUSE in found:
            ratio = found[CLICKHOUSE] / found[EXACT]
            yield Figure(f"{name}: faster than ClickHouse on raw rows", ratio, ge, wanted, "x")


def _of_raw_columns(answers: dict[str, Times]) -> Iterator[Figure]:
    found = medians(answers[DAU])
    ratio = found[POSTGRES] / found[EXACT]
    yield Figure(f"{DAU}, another zone: faster than SQL", ratio, ge, 8, "x")
    if CLICKHOUSE in found:
        ratio = found[EXACT] / found[CLICKHOUSE]
        yield Figure(f"{DAU}, another zone: times as long as ClickHouse", ratio, le, 2.2, "x")
        for name in (TOP, RETENTION):
            found = medians(answers[name])
            ratio = found[EXACT] / found[CLICKHOUSE]
            yield Figure(f"{name}, another zone: times as long as ClickHouse", ratio, le, 1, "x")


def _of_freshness(freshness: dict[str, Any]) -> Iterator[Figure]:
    empty = [medians(times) for times in freshness[EMPTY].values()]
    cost = max(each[EXACT] - each[STALE] for each in empty)
    yield Figure("exact with nothing new: more than freshness=mirror", cost, le, 1.5, " ms")
    for name, rows in ((TAIL, freshness["tail"]), (REMOVALS, freshness["removals"])):
        slowest = max(medians(times)[EXACT] for times in freshness[name].values())
        yield Figure(f"exact with {rows:,} {name}, the slowest question", slowest, le, 30, " ms")


def _of_keeping(result: Result) -> Iterator[Figure]:
    build, steady, loading = (result[part] for part in ("build", "steady", "loading"))
    yield Figure("first build", median(build["rows_per_second"]), ge, 600_000, " rows/s")
    yield Figure("disk", build["bytes_per_event"], le, 35, " bytes an event")
    yield Figure("memory, build and all questions", max(build["peak_mb"]), le, 1_500, " MB")
    loader = steady["loader"]
    rate = loader["events"] / loader["seconds"]
    kept = steady["rate"] * _KEPT_RATE
    yield Figure("steady ingest", rate, ge, kept, " events/s")
    yield Figure("steady ingest: furthest behind", max(steady["lag_seconds"]), le, 2, " s")
    exact = [each for times in steady["exact"].values() for each in times]
    yield Figure("steady ingest: median exact answer", median(exact), le, 40, " ms")
    share = median(loading[WITH]) / median(loading[WITHOUT])
    yield Figure("a loader's speed with a mirror, of that without", share, ge, 0.7)


def _of_growth(result: Result) -> Iterator[Figure]:
    smallest, largest = result["sizes"][0], result["sizes"][-1]
    times = f"{largest['events'] / smallest['events']:.0f} times the events"
    for name, before in medians(smallest[OWN]).items():
        ratio = medians(largest[OWN])[name] / before
        yield Figure(f"{name}, {times}: times as long", ratio, le, 2, "x")
