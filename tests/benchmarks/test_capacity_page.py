"""docs/capacity.md says what the published run found, and every run still goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.capacity.asked import Asked, wrong
from benchmarks.capacity.page import (
    PAGE,
    PUBLISHED,
    PUBLISHED_REMOVALS,
    memory_slope,
    page,
    removals_part,
)
from benchmarks.soak.samples import growing, growth

ROOT = Path(__file__).parents[2]


def samples(*values: float) -> list[dict[str, Any]]:
    rest = dict.fromkeys(
        ("files_open", "connections", "mirror_mb", "events_mb", "removed_mb"), 10.0
    )
    return [
        {"minutes": float(minute), "memory_mb": value, **rest}
        for minute, value in enumerate(values)
    ]


def test_the_page_is_that_of_the_published_run() -> None:
    runs = [orjson.loads(each.read_bytes()) for each in (PUBLISHED, PUBLISHED_REMOVALS)]
    assert PAGE.read_text() == page(*runs)


@pytest.mark.parametrize(
    ("began", "ended", "rows", "right"),
    [
        (1, 2, "all", True),
        (1, 2, "few", False),
        (1, 4, "few", True),
        (4, 8, "all", True),
        (4, 8, "none of both", False),
        (7, 8, "few", True),
        (7, 8, "all", False),
        (7, 8, None, True),
    ],
)
def test_an_answer_must_be_that_of_its_time(
    began: float, ended: float, rows: str | None, right: bool
) -> None:
    """The removal runs from 3 to 6; who was given no answer was given no wrong one."""
    asked = Asked("", "DAU", began, ended, "mirror", rows)
    removed = {"began": 3.0, "committed": 6.0}
    assert (wrong([asked], removed, {"DAU": "all"}, {"DAU": "few"}) == []) is right


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        ((10, 200, 300, 250, 300, 280, 300, 250), False),
        ((100, 100, 100, 100, 100, 110, 90, 125), True),
        ((1, 1, 1, 300, 200, 100, 200, 100), False),
    ],
)
def test_growth_is_that_of_the_peaks(values: tuple[float, ...], grows: bool) -> None:
    assert (growing(samples(*values)) == ["memory_mb"]) is grows
    assert growth(samples(*values), "mirror_mb") == pytest.approx(0)


def test_memory_by_the_million_is_a_straight_line() -> None:
    builds = [
        {"events": 500_000, "peak_mb": [350]},
        {"events": 2_500_000, "peak_mb": [540, 550]},
    ]
    assert memory_slope(builds) == (300, 100)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("module", "given"),
    [
        ("capacity", {"BENCHMARK_EVENTS": "8000", "BENCHMARK_PATIENCE": "0"}),
        ("capacity removals", {"BENCHMARK_EVENTS": "8000", "BENCHMARK_PATIENCE": "0"}),
        ("soak", {"SOAK_MINUTES": "0.5"}),
    ],
)
def test_all_run_on_a_little(module: str, given: dict[str, str], tmp_path: Path) -> None:
    kept = tmp_path / "result.json"
    run = subprocess.run(
        [sys.executable, "-m", *f"benchmarks.{module}".split()],
        cwd=ROOT,
        env={**os.environ, **given, "BENCHMARK_RESULT": str(kept), "SOAK_RESULT": str(kept)},
        capture_output=True,
        text=True,
        check=False,
    )
    result = orjson.loads(kept.read_bytes())
    assert not result.get("failures"), result["failures"]
    if module == "capacity":
        assert run.returncode == 0, run.stderr
        assert run.stdout == page(result, orjson.loads(PUBLISHED_REMOVALS.read_bytes()))
    if module == "capacity removals":
        assert run.returncode == 0, run.stderr
        assert run.stdout == removals_part(result)
