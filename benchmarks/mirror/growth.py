"""The same questions at one, ten and fifty million events.

Question: how does each question's time grow with the number of events?
Hypothesis: roll-ups don't: an answer reads about as many rows as it prints, so fifty million events
take at most twice as long as one million. Raw columns grow with the events.
Control: the span stays 120 days, users grow with the events (33 events a user); each size has a
server of its own and a fresh mirror. Exact answers, by both calendars compared with those of the
engine `attached`, which reads every row and no mirror; SQL would take over ten minutes.
Command: make bench-mirror-growth. Fifty million take 8 GB of disk, 12 GB of memory while they are
made, and half an hour.
What would make it wrong: comparing runs of different days; a table that no longer fits in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from analytics.engines.choose import Engines
from benchmarks.machine import alone
from benchmarks.mirror.asking import OTHER, OWN, TIMEOUT
from benchmarks.mirror.building import measure_builds
from benchmarks.mirror.database import Database, database
from benchmarks.mirror.keeping import asked_first, ready_mirror
from benchmarks.mirror.questions import ELSEWHERE, PROJECT, questions
from benchmarks.timing import Times, in_turns, milliseconds

SIZES = (1_000_000, 10_000_000, 50_000_000)
_ROUNDS = {OWN: 50, OTHER: 7}


def measure_size(size: int) -> dict[str, Any]:
    """One size: its build, and raw milliseconds of exact answers by calendar and question."""
    with database(size) as filled:
        found: dict[str, Any] = {**filled.facts, "build": measure_builds(filled, 1)}
        found |= _answers(filled)
    return found


def _answers(filled: Database) -> dict[str, Any]:
    found: dict[str, Any] = {"others_busy": []}
    with (
        ready_mirror(filled.mirrors, filled.urls) as keeper,
        Engines.connect(filled.urls.reader, timeout=TIMEOUT, keeper=keeper) as engines,
    ):
        mirror = asked_first(keeper, partial(engines.answer, engine="mirror"))
        asked = {OWN: questions(PROJECT), OTHER: questions(ELSEWHERE)}
        for question in (*asked[OWN].values(), *asked[OTHER].values()):
            expected = engines.answer(question, "attached").rows
            assert engines.answer(question, "mirror").rows == expected
        with alone() as others:
            for calendar, rounds in _ROUNDS.items():
                found[calendar] = _timed(mirror, asked[calendar], rounds)
        found["others_busy"].append(others)
    return found


def _timed(mirror: Callable[..., Any], asked: dict[str, Any], rounds: int) -> Times:
    def took(question: Any) -> float:
        return milliseconds(partial(mirror, question))

    return in_turns({name: partial(took, question) for name, question in asked.items()}, rounds)
