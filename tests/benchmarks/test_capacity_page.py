"""docs/capacity.md says what the published run found, and both runs still go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.capacity.page import PAGE, PUBLISHED, memory_slope, page
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
    assert PAGE.read_text() == page(orjson.loads(PUBLISHED.read_bytes()))


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
        ("soak", {"SOAK_MINUTES": "0.5"}),
    ],
)
def test_both_run_on_a_little(module: str, given: dict[str, str], tmp_path: Path) -> None:
    kept = tmp_path / "result.json"
    run = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}"],
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
        assert run.stdout == page(result)
