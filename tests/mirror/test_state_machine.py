"""After every step of whatever may happen, every question gets the exact answer.

`make test` takes a short walk, `make test-slow` 2,000 steps, `make walk` as many as go into
WALK_MINUTES. A walk is settled by its seed, which a failure prints; MIRROR_SEED takes it again.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import Database, new_database
from tests.mirror.machine import MirrorMachine

SEED = int(os.environ.get("MIRROR_SEED", "20"))
STEPS_A_RUN = 50


@pytest.fixture
def machine(servers: object, template: str) -> Iterator[type[MirrorMachine]]:
    """The machine, with databases of this worker's server, and its counts at zero."""

    def database() -> tuple[Database, Callable[[], None]]:
        context = new_database(servers, template)
        return context.__enter__(), lambda: context.__exit__(None, None, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MirrorMachine, "new_database", staticmethod(database), raising=False)
        for name, value in {"steps": 0, "comparisons": 0, "taken": Counter()}.items():
            patch.setattr(MirrorMachine, name, value)
        yield MirrorMachine


def walk(machine: type[MirrorMachine], number: int, runs: int, *, shrink: bool = False) -> None:
    """So many runs of the machine, by the seed of this number."""
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    limits = settings(
        max_examples=runs,
        stateful_step_count=STEPS_A_RUN,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(seed(number)(machine), settings=limits)
    print(f"seed {number}: {machine.steps} steps, {machine.comparisons} comparisons")
    print(", ".join(f"{name} {times}" for name, times in machine.taken.most_common()))


def test_every_step_leaves_the_answers_exact(machine: type[MirrorMachine]) -> None:
    walk(machine, SEED, runs=3)
    assert machine.steps >= 100


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_steps_leave_the_answers_exact(machine: type[MirrorMachine]) -> None:
    walk(machine, SEED + 1, runs=48)
    assert machine.steps >= 2000
    assert machine.comparisons >= 3 * machine.steps


@pytest.mark.slow
@pytest.mark.skipif("WALK_MINUTES" not in os.environ, reason="takes as long as WALK_MINUTES says")
@pytest.mark.timeout(0)
def test_a_long_walk_leaves_the_answers_exact(machine: type[MirrorMachine]) -> None:
    end = time.monotonic() + 60 * float(os.environ["WALK_MINUTES"])
    number = SEED * 1_000_000
    while time.monotonic() < end:
        walk(machine, number, runs=20, shrink=True)
        number += 1
