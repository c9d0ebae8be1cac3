"""Figures are worked out from raw times as they are described; none is asserted of a machine."""

from __future__ import annotations

from operator import ge, le
from pathlib import Path

import orjson
import pytest

from benchmarks.mirror.asking import CLICKHOUSE, EXACT, OTHER, OWN, POSTGRES, STALE
from benchmarks.mirror.figures import Figure, Result, figures
from benchmarks.mirror.freshness import AGAIN, EMPTY, REMOVALS, TAIL
from benchmarks.mirror.loading import WITH, WITHOUT
from benchmarks.mirror.page import page
from benchmarks.mirror.questions import DAU, PROJECT, RETENTION, TOP, questions

ROOT = Path(__file__).parents[2]
NAMES = list(questions(PROJECT))


def a_result() -> Result:
    """Medians: SQL 1,000 ms, ClickHouse 50, exact 2, as of the last sync 1; raw columns 100."""
    own = {POSTGRES: [900.0, 1000.0, 5000.0], CLICKHOUSE: [50.0], EXACT: [2.0], STALE: [1.0]}
    other = {POSTGRES: [1000.0], CLICKHOUSE: [50.0], EXACT: [100.0]}
    looked = {EXACT: [2.0], AGAIN: [2.0], STALE: [1.0]}
    slow = {EXACT: [31.0], AGAIN: [2.0], STALE: [1.0]}
    return {
        "what": "mirror",
        "answers": {OWN: dict.fromkeys(NAMES, own), OTHER: dict.fromkeys(NAMES, other)},
        "freshness": {
            EMPTY: dict.fromkeys(NAMES, looked),
            TAIL: dict.fromkeys(NAMES, looked) | {TOP: slow},
            REMOVALS: dict.fromkeys(NAMES, looked),
            "tail": 10_000,
            "removals": 100,
        },
        "build": {
            "rows_per_second": [500_000, 700_000, 600_000],
            "bytes_per_event": 24.6,
            "peak_mb": [900, 1501],
        },
        "steady": {
            "rate": 50_000,
            "loader": {"events": 2_940_000, "seconds": 60.0},
            "exact": {DAU: [10.0, 39.0], TOP: [500.0]},
            "lag_seconds": [0.5, 2.5],
        },
        "loading": {WITHOUT: [200_000, 100_000], WITH: [105_000]},
    }


def found(result: Result) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(result)}


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        (f"{DAU}: exact, faster than SQL", 500, True),
        (f"{TOP}: exact, faster than SQL", 500, True),
        (f"{RETENTION}: faster than ClickHouse on raw rows", 25, True),
        (f"{DAU}, another zone: faster than SQL", 10, True),
        (f"{DAU}, another zone: times as long as ClickHouse", 2, True),
        (f"{RETENTION}, another zone: times as long as ClickHouse", 2, False),
        ("exact with nothing new: more than freshness=mirror", 1, True),
        ("exact with 10,000 new rows, the slowest question", 31, False),
        ("exact with 100 removed rows, the slowest question", 2, True),
        ("first build", 600_000, True),
        ("disk", 24.6, True),
        ("memory, build and all questions", 1501, False),
        ("steady ingest", 49_000, True),
        ("steady ingest: furthest behind", 2.5, False),
        ("steady ingest: median exact answer", 39, True),
        ("a loader's speed with a mirror, of that without", 0.7, True),
    ],
)
def test_a_figure_is_worked_out_from_medians(name: str, value: float, met: bool) -> None:
    figure = found(a_result())[name]
    assert figure.found == pytest.approx(value)
    assert figure.met is met


def test_without_clickhouse_nothing_is_said_of_it() -> None:
    result = a_result()
    for answers in (result["answers"][OWN], result["answers"][OTHER]):
        for name in NAMES:
            answers[name] = {way: ms for way, ms in answers[name].items() if way != CLICKHOUSE}
    assert not [name for name in found(result) if "ClickHouse" in name]


def test_growth_compares_the_largest_with_the_smallest() -> None:
    sizes = [
        {"events": 1_000_000, OWN: {DAU: [2.0]}},
        {"events": 10_000_000, OWN: {DAU: [1.0]}},
        {"events": 50_000_000, OWN: {DAU: [5.0]}},
    ]
    (figure,) = figures({"what": "growth", "sizes": sizes})
    assert figure.found == 2.5
    assert not figure.met


@pytest.mark.parametrize(
    ("holds", "value", "words", "shown"),
    [
        (ge, 612.4, "at least 600 rows/s", "612 rows/s"),
        (le, 1.504, "at most 600 rows/s", "1.5 rows/s"),
        (le, 20.0, "at most 600 rows/s", "20 rows/s"),
    ],
)
def test_a_figure_is_shown_to_three_digits(
    holds: object, value: float, words: str, shown: str
) -> None:
    figure = Figure("speed", value, holds, 600, " rows/s")
    assert (figure.target, figure.shown(figure.found)) == (words, shown)


def test_the_page_of_figures_says_what_the_published_runs_found() -> None:
    published = sorted((ROOT / "benchmarks/results").glob("published-*.json"))
    assert published
    expected = page(orjson.loads(each.read_bytes()) for each in published)
    assert (ROOT / "docs/mirror-figures.md").read_text() == expected, "run: make mirror-figures"
