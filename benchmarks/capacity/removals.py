"""Most of a table removed by one statement, beside a mirror.

Question: what happens when more events go at once than a sync takes on, and for how long does SQL
answer instead of the mirror?
Hypothesis: the mirror is built anew from what is left, not followed removal by removal; from the
commit to the first exact answer of the new one it takes as long as a build.
Control: a mirror with every default, ready before; three quarters of the events go.
Command: make capacity.
What would make it wrong: a busy machine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, Final

import psycopg

from analytics.engines.mirrored import MirrorEngine
from analytics.mirror import lease
from analytics.mirror.errors import MirrorUnavailable
from analytics.mirror.keeper import Keeper
from app.local.servers import ServerUrls
from benchmarks.capacity.storing import PROJECT
from benchmarks.generate import events
from benchmarks.load import copy_in
from benchmarks.mirror.keeping import ready_mirror
from benchmarks.mirror.questions import DAU, questions
from benchmarks.mirror.questions import PROJECT as SHOP

_KEEP_ONE_IN: Final = 4
_DELETE: Final = "delete from events where get_byte(uuid_send(event_id), 15) %% %s <> 0"
_LOG: Final = "select pg_total_relation_size('events_removed'), count(*) from events_removed"


def measure_removals(urls: ServerUrls, folder: Path, size: int) -> dict[str, Any]:
    """Seconds of the removal, of the mirror's return, and of pruning the log."""
    asyncio.run(copy_in(urls.writer, PROJECT, events(size)))
    causes = _Causes()
    logging.getLogger("analytics.mirror.keeper").addHandler(causes)
    with (
        ready_mirror(folder, urls) as keeper,
        psycopg.connect(urls.owner, autocommit=True) as connection,
    ):
        began = time.perf_counter()
        removed = connection.execute(_DELETE, [_KEEP_ONE_IN]).rowcount
        deleted = time.perf_counter()
        _exact_again(keeper)
        back = time.perf_counter()
        size_of_log = connection.execute(_LOG).fetchone()
        assert size_of_log is not None
        pruning = time.perf_counter()
        while lease.prune(connection):
            pass
        pruned = time.perf_counter()
    return {
        "events": size,
        "removed": removed,
        "delete_seconds": round(deleted - began, 1),
        "back_seconds": round(back - deleted, 1),
        "log_bytes": size_of_log[0] / size_of_log[1],
        "prune_seconds": round(pruned - pruning, 1),
        "given_up": causes.found,
    }


def _exact_again(keeper: Keeper) -> None:
    """Waits for the first exact answer of the mirror since the removal."""
    engine, question = MirrorEngine(keeper), questions(SHOP)[DAU]
    while True:
        try:
            engine.answer(question)
        except MirrorUnavailable:
            time.sleep(0.05)
        else:
            return


class _Causes(logging.Handler):
    """Why mirrors were given up, as the log says it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("mirror.given_up") and isinstance(record.args, tuple):
            self.found.append(str(record.args[0]))
