"""A CSV file through the import, and one question through the whole application.

Question: how long does a caller wait for daily active users over 100,000 events?
Hypothesis: a few milliseconds, most of which are HTTP, the key and a look at Postgres.
It is asked again and again with nothing written meanwhile, so the mirror keeps the answer.
Control: the events are spread evenly over 120 days and the rows are worked out here from the file's
own lines, by sets of users; SQL over HTTP gives the same before anything is timed.
Command: make benchmark_func FUNC=test_100k_dau.
What would make it wrong: a busy machine; a mirror that hasn't caught up, so it is waited for.
"""

from __future__ import annotations

import csv
import subprocess
from collections import defaultdict
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.asking_http import Asker
from benchmarks.generate import DAYS, EVENT_TYPES, FIRST_DAY
from benchmarks.serving import PROJECT, TIDEMARK, Serving, serving

EVENTS: Final = 100_000
USERS: Final = 3_001
COLUMNS: Final = ("event_id", "occurred_at", "user_id", "event_type", "properties")


def test_100k_dau(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    expected = write_evenly(file)
    path = f"/api/stats/dau?from={FIRST_DAY}&to={FIRST_DAY + timedelta(days=DAYS - 1)}"
    with serving() as server:
        counts = imported(server, file)
        assert (counts["inserted"], counts["duplicates"]) == (EVENTS, 0), counts
        with closing(Asker(server)) as asker:
            asker.until_mirrored(path)
            benchmark.group = "GET /stats/dau, 100,000 events from CSV"
            benchmark.extra_info |= {"about": "dau", "size": EVENTS}
            answered = benchmark.pedantic(  # type: ignore[no-untyped-call]  # has no types
                asker.ask, (path,), rounds=100, warmup_rounds=10
            )
    assert answered.engine == "mirror"
    assert orjson.loads(answered.body) == expected


def write_evenly(file: Path) -> list[dict[str, Any]]:
    """Events at equal distances from the first day's start to the last one's end.

    Returns:
        What daily active users are of them.
    """
    start = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
    step = timedelta(days=DAYS) / EVENTS
    users: defaultdict[date, set[str]] = defaultdict(set)
    with file.open("w", newline="") as sink:
        lines = csv.writer(sink)
        lines.writerow(COLUMNS)
        for number in range(EVENTS):
            at, user = start + number * step, f"user_{number * number % USERS}"
            kind, _ = EVENT_TYPES[number % len(EVENT_TYPES)]
            lines.writerow([UUID(int=number), at.isoformat(), user, kind, '{"plan":"pro"}'])
            users[at.date()].add(user)
    return [{"day": day.isoformat(), "dau": len(seen)} for day, seen in sorted(users.items())]


def imported(server: Serving, file: Path) -> dict[str, Any]:
    """What `tidemark import` says of the file."""
    run = subprocess.run(  # noqa: S603 - our own command
        [TIDEMARK, "import", str(file), "--project", PROJECT, "--json"],
        env=server.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    report: dict[str, Any] = orjson.loads(run.stdout)
    return report
