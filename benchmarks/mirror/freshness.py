"""What exactness costs: the look at Postgres, a long tail, removals.

Question: how much longer does an exact answer take than one as of the last sync, and how long does
it take while rows came or went that the mirror doesn't have yet?
Hypothesis: with nothing above the tidemark a look costs two round trips and less than 1.5 ms; with
10,000 new rows, or with 100 removed ones anywhere in the table, an exact answer takes under 30 ms,
for only what changed is read and looked up.
Control: the background sync is held still for the length of a measurement, and both numbers come
from turns of one loop. Every exact answer is compared with SQL on the same table.
Command: make bench-mirror.
What would make it wrong: a sync in between, which would take the tail away; a busy machine, for
differences of a millisecond are smaller than a busy machine's noise.
"""

from __future__ import annotations

import asyncio
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
from benchmarks.mirror.live import live_events
from benchmarks.mirror.questions import PROJECT, questions
from benchmarks.mirror.scale import Scale
from benchmarks.timing import Times, in_turns, milliseconds

EMPTY, TAIL, REMOVALS = "nothing above the tidemark", "new rows", "removed rows"
_SEED: Final = 1
_ROUNDS: Final = 50
# By their random ids, so they lie anywhere in the table and belong to as many users.
_REMOVE: Final = """
delete from events where project_id = %(project_id)s and event_id in (
    select event_id from events where project_id = %(project_id)s order by event_id limit %(rows)s
)"""


def measure_freshness(database: Database, keeper: Keeper, scale: Scale) -> dict[str, Any]:
    """Raw milliseconds by what lies above the tidemark, by question, exact and not."""
    found: dict[str, Any] = {"others_busy": [], "tail": scale.tail, "removals": scale.removals}
    changes = {EMPTY: None, TAIL: partial(_add, database, scale), REMOVALS: None}
    changes[REMOVALS] = partial(_remove, database, scale)
    rounds = _ROUNDS if scale.rounds > 1 else 2
    with Engines.connect(database.urls.reader, timeout=TIMEOUT, keeper=keeper) as engines:
        for name, change in changes.items():
            keeper.sync()
            with keeper.paused():
                if change:
                    change()
                with alone() as others:
                    found[name] = {
                        asked: _timed(engines, question, rounds)
                        for asked, question in questions(PROJECT).items()
                    }
            found["others_busy"].append(others)
    return found


def _timed(engines: Engines, question: Any, rounds: int) -> Times:
    expected = engines.answer(question, "postgres").rows
    ask = partial(engines.answer, question, "mirror")
    assert ask().rows == expected

    def exactly() -> float:
        return milliseconds(ask)

    def as_of_the_last_sync() -> float:
        return milliseconds(partial(ask, freshness=Freshness.MIRROR))

    times = in_turns({EXACT: exactly, STALE: as_of_the_last_sync}, rounds)
    assert ask().rows == expected
    return times


def _add(database: Database, scale: Scale) -> None:
    rows = live_events(scale.tail, _SEED)
    assert asyncio.run(copy_in(database.urls.writer, PROJECT.id, rows)) == scale.tail


def _remove(database: Database, scale: Scale) -> None:
    with psycopg.connect(database.urls.owner) as connection:
        parameters = {"project_id": PROJECT.id, "rows": scale.removals}
        assert connection.execute(_REMOVE, parameters).rowcount == scale.removals
