"""The benchmarks still run, and their generator still makes the events that were measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.generate import digest, events, measured_events
from benchmarks.mirror.page import page

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_every_case_runs_on_a_few_events() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-n", "0", "-q", "-k", "not no-mirror"],
        cwd=ROOT,
        env={**os.environ, "BENCHMARK_EVENTS": "2000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert "56 passed" in run.stdout


def test_the_library_is_measured_at_a_few_events() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.library"],
        cwd=ROOT,
        env={**os.environ, "BENCHMARK_EVENTS": "2000", "BENCHMARK_PATIENCE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("2,000 events over 120 days")
    assert "later: DAU, 120 days" in run.stdout


@pytest.mark.parametrize("what", [[], ["growth"]], ids=["mirror", "growth"])
def test_the_mirror_is_measured_at_a_few_events(what: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "result.json"
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.mirror", *what],
        cwd=ROOT,
        env={
            **os.environ,
            "BENCHMARK_EVENTS": "2000",
            "BENCHMARK_PATIENCE": "0",
            "BENCHMARK_RESULT": str(kept),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == page([json.loads(kept.read_text())])


def test_the_generator_makes_the_same_events_every_time() -> None:
    assert digest(events(5_000)) == digest(events(5_000))
    assert digest(events(5_000)) != digest(events(5_000, seed=1))


def test_the_generator_makes_the_million_that_was_measured_before() -> None:
    assert len(measured_events(1_000_000)) == 1_000_000
