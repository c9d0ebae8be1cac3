"""The mirror from nothing, by a process that does nothing else.

Question: how fast is a first build, what does it take of memory, and what of the disk?
Hypothesis: 600,000 rows a second, for Postgres sends whole columns and every range is written once,
sorted; below 1.5 GB at ten million events, because events pass through range by range and only
counts by user are held; 35 bytes an event at most.
Control: a fresh process and an empty folder each time; afterwards the process answers all questions
by both calendars, and its peak is taken then. The file is checkpointed when it is measured.
Command: make bench-mirror.
What would make it wrong: a busy machine, for Postgres and DuckDB need a core each; a table that is
not in memory.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from analytics.engines.mirrored import MirrorEngine
from app.local.servers import ServerUrls
from benchmarks.machine import alone
from benchmarks.mirror.database import Database
from benchmarks.mirror.keeping import ready_mirror
from benchmarks.mirror.questions import ELSEWHERE, PROJECT, questions
from benchmarks.own_process import in_own_process, peak_mb


def measure_builds(database: Database, builds: int) -> dict[str, Any]:
    """Each build's facts; the last one's mirror stays."""
    found = []
    busy = []
    for _ in range(builds):
        shutil.rmtree(database.mirrors, ignore_errors=True)
        with alone() as others:
            found.append(in_own_process(_build, database.mirrors, database.urls))
        busy.append(others)
    events = int(database.facts["events"])
    return {
        "seconds": [each["seconds"] for each in found],
        "rows_per_second": [round(events / each["seconds"]) for each in found],
        "bytes_per_event": round(found[-1]["bytes"] / events, 1),
        "peak_mb": [each["peak_mb"] for each in found],
        "others_busy": busy,
    }


def _build(folder: Path, urls: ServerUrls) -> dict[str, float]:
    started = time.perf_counter()
    with ready_mirror(folder, urls) as keeper:
        seconds = time.perf_counter() - started
        size = keeper.store().bytes()
        engine = MirrorEngine(keeper)
        for project in (PROJECT, ELSEWHERE):
            for question in questions(project).values():
                engine.answer(question)
        return {"seconds": round(seconds, 2), "bytes": size, "peak_mb": round(peak_mb())}
