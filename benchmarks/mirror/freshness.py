"""What exactness costs: the look at Postgres, a long tail, removals.

Question: how much longer does an exact answer take than one as of the last sync, and how long does
it take while rows came or went that the mirror doesn't have yet?
Hypothesis: with nothing above the tidemark a look costs two round trips and less than 1.5 ms; with
10,000 new rows, or with 100 removed ones anywhere in the table, an exact answer takes under 30 ms,
for only what changed is read and looked up.
Control: the background sync is held still for the length of a measurement, and all numbers come
from turns of one loop. What lies above the tidemark is looked up once for all questions that see
the same, so one more row comes or goes before each exact answer; asked again, nothing has changed.
Answers are compared with SQL on the same table at both ends.
Command: make bench-mirror.
What would make it wrong: a sync in between, which would take the tail away; a busy machine, for
differences of a millisecond are smaller than a busy machine's noise.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import psycopg

from analytics.engines.choose import Engines
from analytics.engines.protocol import Freshness
from analytics.mirror.keeper import Keeper
from benchmarks.load import copy_in
from benchmarks.machine import alone
from benchmarks.mirror.asking import EXACT, STALE, TIMEOUT
from benchmarks.mirror.database import Database
from benchmarks.mirror.keeping import asked_first
from benchmarks.mirror.live import live_events
from benchmarks.mirror.questions import PROJECT, questions
from benchmarks.mirror.scale import Scale
from benchmarks.timing import Times, in_turns, milliseconds

AGAIN: Final = "asked again"
EMPTY, TAIL, REMOVALS = "nothing above the tidemark", "new rows", "removed rows"
_seeds = itertools.count(1)
_ROUNDS: Final = 50
# By their random ids, so they lie anywhere in the table and belong to as many users.
_REMOVE: Final = """
delete from events where project_id = %(project_id)s and event_id in (
    select event_id from events where project_id = %(project_id)s order by event_id limit %(rows)s
)"""


def measure_freshness(database: Database, keeper: Keeper, scale: Scale) -> dict[str, Any]:
    """Raw milliseconds by what lies above the tidemark, by question, exact and not."""
    changes: dict[str, Callable[[int], None]] = {
        EMPTY: lambda _: None,
        TAIL: partial(_add, database),
        REMOVALS: partial(_remove, database),
    }
    rows = {EMPTY: 0, TAIL: scale.tail, REMOVALS: scale.removals}
    rounds = _ROUNDS if scale.rounds > 1 else 2
    asked = questions(PROJECT)
    with (
        Engines.connect(database.urls.reader, timeout=TIMEOUT, keeper=keeper) as engines,
        alone() as others,
    ):
        found: dict[str, Any] = {
            "tail": scale.tail,
            "removals": scale.removals,
            "others_busy": [others],
        }
        for name, change in changes.items():
            keeper.sync()
            with keeper.paused():
                change(rows[name])
                found[name] = {
                    each: _timed(engines, keeper, asked[each], rounds, partial(change, 1))
                    for each in asked
                }
    return found


def _timed(
    engines: Engines, keeper: Keeper, question: Any, rounds: int, change: Callable[[], None]
) -> Times:
    ask = asked_first(keeper, partial(engines.answer, question, "mirror"))
    _compare(engines, question)

    def exactly() -> float:
        change()
        return milliseconds(ask)

    def again() -> float:
        return milliseconds(ask)

    def as_of_the_last_sync() -> float:
        return milliseconds(partial(ask, freshness=Freshness.MIRROR))

    times = in_turns({EXACT: exactly, AGAIN: again, STALE: as_of_the_last_sync}, rounds)
    _compare(engines, question)
    return times


def _compare(engines: Engines, question: Any) -> None:
    expected = engines.answer(question, "postgres").rows
    assert engines.answer(question, "mirror").rows == expected


def _add(database: Database, size: int) -> None:
    rows = live_events(size, next(_seeds))
    assert asyncio.run(copy_in(database.urls.writer, PROJECT.id, rows)) == size


def _remove(database: Database, size: int) -> None:
    with psycopg.connect(database.urls.owner) as connection:
        parameters = {"project_id": PROJECT.id, "rows": size}
        assert connection.execute(_REMOVE, parameters).rowcount == size
