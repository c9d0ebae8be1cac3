"""Raw times of several ways to do the same thing, taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

Times = dict[str, list[float]]


def milliseconds(do: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    do()
    return (time.perf_counter() - started) * 1000


def in_turns(cases: Mapping[str, Callable[[], float]], rounds: int) -> Times:
    """Milliseconds of every case, each of which answers what one call took.

    A round has each case once, so that a disturbance meets all of them.
    """
    times: Times = {name: [] for name in cases}
    for _ in range(rounds):
        for name, measured in cases.items():
            times[name].append(round(measured(), 4))
    return times


def medians(times: Times) -> dict[str, float]:
    """The median of each case."""
    return {name: median(each) for name, each in times.items()}
