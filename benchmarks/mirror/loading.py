"""What a mirror takes from those who load events beside it.

Question: how much slower does a load at full speed become because a mirror follows it?
Hypothesis: it keeps at least 0.7 of its speed: a sync reads each row once and rests as long as it
took, but there are two cores for the loader, Postgres and the sync.
Control: loads of the same size, each of its own new events, one with a mirror and one without in
turns; files, by the loader of the command line, in a process of its own; a checkpoint before each.
Command: make bench-mirror.
What would make it wrong: a checkpoint within one load and not within another; a mirror that hasn't
caught up with the load before; a busy machine.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import psycopg

from benchmarks.machine import alone
from benchmarks.mirror.database import Database
from benchmarks.mirror.keeping import ready_mirror
from benchmarks.mirror.live import load_at_once
from benchmarks.mirror.scale import Scale
from benchmarks.own_process import in_own_process

WITH, WITHOUT = "with a mirror", "without"
_FIRST_SEED: Final = 100


def measure_loading(database: Database, scale: Scale) -> dict[str, Any]:
    """Events a second, with and without; nobody else may keep a mirror meanwhile."""
    seeds = itertools.count(_FIRST_SEED)
    with alone() as others:
        found: dict[str, Any] = {WITHOUT: [], WITH: [], "others_busy": [others]}
        for _ in range(min(scale.rounds, 3)):
            found[WITHOUT].append(_rate(database, scale, next(seeds)))
            with ready_mirror(database.mirrors, database.urls) as keeper:
                keeper.sync()
                found[WITH].append(_rate(database, scale, next(seeds)))
    return found


def _rate(database: Database, scale: Scale, seed: int) -> int:
    with psycopg.connect(database.urls.admin, autocommit=True) as connection:
        connection.execute("checkpoint")
    seconds = in_own_process(load_at_once, database.urls.writer, scale.load, seed)
    return round(scale.load / seconds)
