"""How many events are measured, and what a run's JSON says of its circumstances."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import machine
from benchmarks.mirror.questions import PROJECT

__all__ = ["LOADED", "PROJECT", "SIZE", "SIZES"]

SIZES = tuple(map(int, os.environ.get("BENCHMARK_EVENTS", "100000,1000000").split(",")))
SIZE = max(SIZES)
# A load is repeated some fifty times, so it takes the second largest of the sizes.
LOADED = sorted(SIZES)[-2:][0]


@pytest.fixture(autouse=True)
def others_busy(request: pytest.FixtureRequest) -> None:
    """Notes with each timed case what share of all cores others use just before it."""
    if request.config.getoption("benchmark_enable") and "benchmark" in request.fixturenames:
        benchmark: BenchmarkFixture = request.getfixturevalue("benchmark")
        benchmark.extra_info["others_busy"] = [round(machine.busy_share(), 2)]


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """The machine and the versions, instead of its name and the repository's state."""
    output_json["machine_info"] = machine.facts()
    output_json["taken_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    for name in ("commit_info", "datetime"):
        output_json.pop(name, None)
