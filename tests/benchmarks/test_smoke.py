"""The benchmarks still run, and their generator still makes the events that were measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.generate import digest, events

ROOT = Path(__file__).parents[2]


def test_every_case_runs_on_a_few_events() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-n", "0", "-q"],
        cwd=ROOT,
        env={**os.environ, "BENCHMARK_EVENTS": "2000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert "22 passed" in run.stdout


def test_the_generator_makes_the_same_events_every_time() -> None:
    assert digest(events(5_000)) == digest(events(5_000))
    assert digest(events(5_000)) != digest(events(5_000, seed=1))
