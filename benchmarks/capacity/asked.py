"""Questions asked in turn while something happens, and whether each answer was right."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from analytics.engines.choose import Engines
from analytics.engines.mirrored import MirrorEngine
from analytics.errors import TidemarkError
from benchmarks.mirror.questions import PROJECT, questions

NEVER_SECONDS: Final = 900.0
"""What takes longer is taken never to come."""

_EVERY_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """One question's answer, or the error that was raised instead, and then no rows.

    `began` and `ended` are monotonic seconds, of every process alike.
    """

    phase: str
    name: str
    began: float
    ended: float
    engine: str
    rows: Any


class Asking:
    """Asks all questions in turn, a tenth of a second apart."""

    def __init__(self, engines: Engines) -> None:
        """Takes engines that stay the caller's to close."""
        self._engines = engines
        self._asked: list[Asked] = []
        self._names = itertools.cycle(questions(PROJECT))
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """For how long it has asked."""
        return time.monotonic() - self._began

    def until(self, over: Callable[[], object], phase: str) -> None:
        """Ask until it is over, and at least once.

        Raises:
            AssertionError: it never was.
        """
        end = time.monotonic() + NEVER_SECONDS
        while True:
            self._ask(phase)
            if over():
                return
            assert time.monotonic() < end, f"not over after {NEVER_SECONDS:.0f} s: {phase}"
            time.sleep(_EVERY_SECONDS)

    def mirror_since(self, instant: float) -> bool:
        """Whether a mirror has answered what was asked since then."""
        latest = self._asked[-1]
        return latest.engine == MirrorEngine.name and latest.began > instant

    def by_phase(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By phase and engine: how many answers, their median and longest time in milliseconds."""
        found: dict[str, dict[str, list[float]]] = {}
        for each in self._asked:
            times = found.setdefault(each.phase, {}).setdefault(each.engine, [])
            times.append((each.ended - each.began) * 1000)
        return {
            phase: {
                engine: {
                    "answers": len(times),
                    "median_ms": round(median(times), 1),
                    "longest_ms": round(max(times), 1),
                }
                for engine, times in engines.items()
            }
            for phase, engines in found.items()
        }

    def require_right(
        self, removed: Mapping[str, float], before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """Compare each answer: see `wrong`.

        Raises:
            AssertionError: an answer is wrong.
        """
        found = wrong(self._asked, removed, before, after)
        assert not found, found[0]

    def _ask(self, phase: str) -> None:
        name, began = next(self._names), time.monotonic()
        try:
            answer = self._engines.answer(questions(PROJECT)[name])
        except TidemarkError as error:
            engine, rows = type(error).__name__, None
        else:
            engine, rows = answer.meta.engine, answer.rows
        self._asked.append(Asked(phase, name, began, time.monotonic(), engine, rows))


def wrong(
    asked: Iterable[Asked],
    removed: Mapping[str, float],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> list[Asked]:
    """The answers that are neither those of before the removal nor of after it, as they must be.

    `removed` says when it `began` and was `committed`; between the two it isn't known which.
    """
    found = []
    for each in asked:
        right = [before[each.name], after[each.name]]
        if each.ended < removed["began"]:
            right = right[:1]
        elif each.began > removed["committed"]:
            right = right[1:]
        if each.rows is not None and each.rows not in right:
            found.append(each)
    return found
