"""Ten million events removed by one statement, beside a mirror that is asked all the time.

Question: what happens when far more events go at once than a sync takes on: for how long does SQL
answer instead of the mirror, what does it take of memory and disk, when is the log of removals
gone, and who waits meanwhile?
Hypothesis: the mirror is built anew from what is left, not followed removal by removal; from the
commit to its next exact answer it takes as long as a build of what is left. No sender waits.
Control: a mirror with every default, ready before, in this process; all else is in others. Five
events of six go. Others come all the while, of a day that nobody asks about. Questions of all kinds
are answered by whichever engine is chosen, and each answer is compared with what SQL says.
Command: make capacity-removals.
What would make it wrong: a busy machine.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from analytics.engines.choose import Engines
from analytics.mirror.sync import Synced
from app.local.servers import ServerUrls
from benchmarks.capacity.asked import Asking
from benchmarks.capacity.storing import PROJECT
from benchmarks.capacity.trickle import END, trickling
from benchmarks.generate import events
from benchmarks.load import copy_in
from benchmarks.mirror.keeping import ready_mirror
from benchmarks.mirror.questions import PROJECT as SHOP
from benchmarks.mirror.questions import questions
from benchmarks.own_process import executor, forget_peak, in_own_process, memory_mb, peak_mb

EVENTS: Final = 12_000_000
BEFORE, DELETING, REBUILDING, PRUNING = (
    "before",
    "while the statement runs",
    "from its commit to the mirror's next answer",
    "from then until the log of removals is gone",
)
_BEFORE_SECONDS: Final = 2.0
_GOES: Final = 6
# Only `explain` tells how much of it the trigger takes.
_DELETE: Final = """explain (analyze, format json)
delete from events where get_byte(uuid_send(event_id), 15) %% %s <> 0 and occurred_at < %s"""
_LOG: Final = "select count(*), pg_total_relation_size('events_removed') from events_removed"
_WRITTEN: Final = """select (pg_current_wal_insert_lsn() - '0/0')::bigint, temp_bytes
from pg_stat_database where datname = current_database()"""
_SPAN: Final = timedelta(minutes=5)
_EVERY_SECONDS: Final = 1.0


@dataclass(slots=True)
class Heard:
    """What the keeper has done, as its `Listener`.

    Attributes:
        built_for: how often a mirror was built, by the cause why the one before was given up.
        failed_for: how often something failed, by cause.
        followed: how many removals syncs have taken out of a mirror.
        prunings: how many each look has deleted from the log.
    """

    built_for: Counter[str] = field(default_factory=Counter)
    failed_for: Counter[str] = field(default_factory=Counter)
    followed: int = 0
    prunings: list[int] = field(default_factory=list)

    def synced(self, synced: Synced) -> None:
        """See `Listener`."""
        self.followed += synced.removals

    def failed(self, cause: str) -> None:
        """See `Listener`."""
        self.failed_for[cause] += 1

    def built(self, cause: str, rows: int, seconds: float) -> None:  # noqa: ARG002 - a Listener's
        """See `Listener`."""
        self.built_for[cause] += 1

    def pruned(self, removals: int) -> None:
        """See `Listener`."""
        self.prunings.append(removals)


def measure_removals(urls: ServerUrls, folder: Path, size: int) -> dict[str, Any]:
    """Seconds, sizes, engines and the longest answers, by phase.

    Raises:
        AssertionError: an answer was wrong, or the mirror or the pruning never came.
    """
    in_own_process(_fill, urls.writer, size)
    before, heard = _by_sql(urls), Heard()
    with (
        ready_mirror(folder, urls, heard) as keeper,
        Engines.connect(urls.reader, keeper=keeper) as engines,
        executor() as remover,
        psycopg.connect(urls.reader, autocommit=True) as connection,
        trickling(urls.writer, folder) as sent,
    ):
        forget_peak()
        ready = memory_mb()
        asking = Asking(engines)
        asking.until(lambda: asking.seconds > _BEFORE_SECONDS, BEFORE)
        removing = remover.submit(_remove, urls.owner)
        asking.until(removing.done, DELETING)
        removed = removing.result()
        asking.until(lambda: asking.mirror_since(removed["committed"]), REBUILDING)
        exact = time.monotonic()
        asking.until(_Gone(connection), PRUNING)
        pruned = time.monotonic()
    asking.require_right(removed, before, _by_sql(urls))
    return {
        "events": size,
        **{name: removed[name] for name in ("removed", "log_bytes", "wal_bytes", "temp_bytes")},
        "delete_seconds": round(removed["committed"] - removed["began"], 1),
        "trigger_seconds": round(removed["trigger_seconds"], 1),
        "back_seconds": round(exact - removed["committed"], 1),
        "pruned_seconds": round(pruned - removed["committed"], 1),
        "memory_mb": {"ready": round(ready), "most": round(peak_mb())},
        "asked": asking.by_phase(),
        "sent": sent.result(),
        "built_for": dict(heard.built_for),
        "failed_for": dict(heard.failed_for),
        "followed": heard.followed,
        "prunings": heard.prunings,
    }


def _fill(writer: str, size: int) -> None:
    assert asyncio.run(copy_in(writer, PROJECT, events(size))) == size


def _by_sql(urls: ServerUrls) -> dict[str, Any]:
    with Engines.connect(urls.reader, timeout=_SPAN) as engines:
        asked = questions(SHOP).items()
        return {name: engines.answer(question, "postgres").rows for name, question in asked}


def _remove(owner: str) -> dict[str, Any]:
    with psycopg.connect(owner, autocommit=True) as connection:
        wal, temporary = _row(connection, _WRITTEN)
        began = time.monotonic()
        [[plan]] = _row(connection, _DELETE, _GOES, END)
        committed = time.monotonic()
        removed, log = _row(connection, _LOG)
        wal_now, temporary_now = _row(connection, _WRITTEN)
    return {
        "began": began,
        "committed": committed,
        "removed": removed,
        "trigger_seconds": sum(each["Time"] for each in plan["Triggers"]) / 1000,
        "log_bytes": log,
        "wal_bytes": wal_now - wal,
        "temp_bytes": temporary_now - temporary,
    }


class _Gone:
    """Whether the log of removals is empty, looked at once a second."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._looked_at = 0.0

    def __call__(self) -> bool:
        if time.monotonic() - self._looked_at < _EVERY_SECONDS:
            return False
        self._looked_at = time.monotonic()
        return bool(_row(self._connection, "select not exists (select from events_removed)")[0])


def _row(connection: psycopg.Connection[Any], query: str, *given: object) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), given or None).fetchone()
    assert row is not None  # each of these has one row
    return tuple(row)
