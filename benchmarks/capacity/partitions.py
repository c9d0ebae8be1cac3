"""What partitions cost, and what they save.

Question: how does cutting the table by hash change an exact question, a load and the memory of an
index?
Hypothesis: each partition adds some ten microseconds to every look; a load loses little.
Control: the same events; a look is the statement that every exact answer waits for, with nothing
above the tidemark. The table is cut by the runbook in ops/partition.
Command: make capacity.
What would make it wrong: a busy machine.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import uuid4

import psycopg

from analytics.mirror import prepared
from analytics.mirror.history import snapshot
from analytics.sessions import Sessions
from app.local.binaries import postgres_binary
from benchmarks.capacity.storing import PROJECT, with_properties
from benchmarks.generate import events
from benchmarks.load import copy_in
from benchmarks.own_process import in_own_process

RUNBOOK: Final = Path(__file__).parents[2] / "ops" / "partition"
COUNTS: Final = (0, 4, 8, 16, 32, 64)
_LOOKS: Final = 500
_PARTITION: Final = """create table events_of_{1}_{0} partition of events_partitioned
for values with (modulus {1}, remainder {0});"""


def measure_partitions(owner: str, writer: str, reader: str, size: int) -> list[dict[str, Any]]:
    """A row for each number of partitions, 0 for the table as it is made."""
    return [_measured(owner, writer, reader, size, count) for count in COUNTS]


def _measured(owner: str, writer: str, reader: str, size: int, count: int) -> dict[str, Any]:
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("truncate events")
        if count:
            cut(connection, owner, count)
        seconds = in_own_process(_load, writer, size)
        connection.execute("vacuum (analyze) events")
        looks = in_own_process(_looks, reader)
    return {"partitions": count, "look_ms": looks, "events_per_second": round(size / seconds)}


def cut(connection: psycopg.Connection[Any], owner: str, count: int) -> None:
    """By the runbook, into so many partitions; what the table was before is dropped."""
    made = (RUNBOOK / "1-by-hash.sql").read_text().partition("create table events_p0")[0]
    tables = made + "".join(_PARTITION.format(number, count) for number in range(count))
    psql: list[str | Path] = [postgres_binary("psql"), "-X", "-q", "-o", "/dev/null", owner]
    subprocess.run([*psql, "-f", "-"], input=tables, text=True, check=True)  # noqa: S603 - ours
    for name in ("2-copy.sql", "4-swap.sql"):
        subprocess.run([*psql, "-f", str(RUNBOOK / name)], check=True)  # noqa: S603 - ours
        if name == "4-swap.sql":
            connection.execute("drop table events_whole")


def _load(writer: str, size: int) -> float:
    rows = with_properties(events(size))
    began = time.perf_counter()
    assert asyncio.run(copy_in(writer, PROJECT, rows)) == size
    return time.perf_counter() - began


def _looks(reader: str) -> float:
    sessions = Sessions(reader, "tidemark capacity")
    try:
        _look(sessions)
        return round(median(_look(sessions) for _ in range(_LOOKS)), 3)
    finally:
        sessions.close()


def _look(sessions: Sessions) -> float:
    began = time.perf_counter()
    size = prepared.tail_size(10**15, PROJECT, 200_001, 200_001)
    with snapshot(sessions, uuid4(), timedelta(seconds=5), size):
        return (time.perf_counter() - began) * 1000
