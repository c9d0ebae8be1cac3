"""Writers, syncs, pruning and readers at once: each answer is that of SQL in the same snapshot.

SECONDS sets how long; the counts are printed, and too few of them fail.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from analytics.errors import Transient
from analytics.events import ProjectId
from analytics.mirror.errors import MirrorUnavailable
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Pace, Plan
from analytics.project import Project
from tests.conftest import Database
from tests.mirror.machine import INSTANTS, TYPES, USERS, WINDOWS
from tests.mirror.partitioning import psql
from tests.mirror.same_snapshot import Witness

SECONDS = float(os.environ.get("SECONDS", "20"))
WRITERS, READERS = 8, 2
PROJECTS = [Project(ProjectId(1), "1", "America/New_York"), Project(ProjectId(2), "2")]
PACE = Pace(
    shortest=timedelta(milliseconds=50),
    longest=timedelta(milliseconds=100),
    rest=0.5,
    prune=timedelta(milliseconds=300),
    patience=timedelta(milliseconds=200),
)
_UPKEEP: tuple[LiteralString, ...] = (
    "reindex index concurrently pk_events",
    "reindex index concurrently ix_events_ingest_xid",
    "reindex table concurrently events_removed",
    "vacuum (analyze) events, events_removed",
)
_INSERT = """insert into events (project_id, event_id, occurred_at, user_id, event_type)
values (%s, %s, %s, %s, %s) on conflict do nothing"""


class Crowd:
    """Threads that stop at one time, and what they counted or ran into."""

    def __init__(self, database: Database, keeper: Keeper) -> None:
        self.database, self.keeper = database, keeper
        self.counts: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        self.end = time.monotonic() + SECONDS

    def run(self, *works: Callable[[random.Random], None]) -> None:
        threads = [
            Thread(target=self._work, args=(work, random.Random(number)))  # noqa: S311 - no secret
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, work: Callable[[random.Random], None], chance: random.Random) -> None:
        try:
            work(chance)
        except BaseException as error:  # noqa: BLE001 - the main thread reports it
            self.failures.append(error)
            self.end = 0.0

    def write(self, chance: random.Random) -> None:
        """Transactions of a few statements, most of them committed, some after a while."""
        with psycopg.connect(self.database.owner) as connection:
            connection.execute("set lock_timeout = '100ms'")
            connection.commit()
            while time.monotonic() < self.end:
                try:
                    for _ in range(chance.randint(1, 4)):
                        connection.execute(*_any_statement(chance))
                    time.sleep(chance.choice([0.0, 0.0, 0.02, 0.2]))
                    (connection.commit if chance.random() < 0.85 else connection.rollback)()
                    self.counts["transactions"] += 1
                except (psycopg.OperationalError, psycopg.errors.UniqueViolation):
                    connection.rollback()

    def truncate(self, chance: random.Random) -> None:
        with psycopg.connect(self.database.owner, autocommit=True) as connection:
            connection.execute("set lock_timeout = '500ms'")
            while time.monotonic() < self.end:
                time.sleep(min(SECONDS / 6, 5))
                try:
                    connection.execute("truncate events")
                    self.counts["truncates"] += 1
                except psycopg.OperationalError:
                    self.counts["truncates given up"] += 1

    def reindex(self, chance: random.Random) -> None:
        """What keeps a table that only grows in shape, beside everything else (docs/growth.md)."""
        with psycopg.connect(self.database.owner, autocommit=True) as connection:
            while time.monotonic() < self.end:
                try:
                    connection.execute(chance.choice(_UPKEEP))
                    self.counts["upkeep"] += 1
                except psycopg.errors.DeadlockDetected:
                    self.counts["deadlocks of upkeep"] += 1

    def read(self, chance: random.Random) -> None:
        self._compare(chance, Witness(self.keeper), "comparisons")

    def read_slowly(self, chance: random.Random) -> None:
        """Held up for longer than removals are kept: a lease speaks for the file, not for it."""
        self._compare(chance, Witness(self.keeper, pause=0.8), "comparisons after a pause")

    def read_settled(self) -> None:
        """When everybody has gone: twice, for then one statement is enough."""
        end = time.monotonic() + 30
        while True:
            try:
                self.keeper.sync()
                break
            except MirrorUnavailable:
                # After the last TRUNCATE it is built anew.
                assert time.monotonic() < end
                time.sleep(0.05)
        witness = Witness(self.keeper)
        for question in WINDOWS[0].questions(PROJECTS[0]) * 2:
            answer, expected = witness.both(question)
            assert answer.rows == expected, f"{answer.meta}: {question}"
            assert answer.meta.data_version.endswith(".0.0")

    def _compare(self, chance: random.Random, witness: Witness, name: str) -> None:
        while time.monotonic() < self.end:
            own = chance.choice(PROJECTS)
            other = Project(own.id, own.name, "Asia/Kolkata")
            for question in chance.choice(WINDOWS).questions(chance.choice([own, own, other])):
                try:
                    answer, expected = witness.both(question)
                except MirrorUnavailable as error:
                    self.counts[f"no mirror: {error.cause}"] += 1
                    time.sleep(0.01)
                    continue
                except Transient as error:
                    self.counts[type(error).__name__] += 1
                    continue
                assert answer.rows == expected, f"{answer.meta}: {question}"
                self.counts[name] += 1
                rows, removals = answer.meta.data_version.split(".")[2:4]
                self.counts["with a tail"] += rows != "0"
                self.counts["with removals"] += removals != "0"


def _any_statement(chance: random.Random) -> tuple[Any, list[Any]]:
    event_id, project = UUID(int=chance.randrange(300)), chance.choice(PROJECTS).id
    at, user, kind = (chance.choice(values) for values in (INSTANTS, USERS, TYPES))
    statements: list[tuple[Any, list[Any]]] = [
        (_INSERT, [project, event_id, at, user, kind]),
        (_INSERT, [project, UUID(int=chance.randrange(300)), at, user, kind]),
        ("delete from events where event_id = %s", [event_id]),
        ("update events set occurred_at = %s where event_id = %s", [at, event_id]),
        ("update events set user_id = %s where event_id = %s", [user, event_id]),
    ]
    return chance.choice(statements)


class _Counting:
    """Hears of the keeper's work."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def synced(self, synced: Any) -> None:
        self.counts["syncs"] += 1

    def failed(self, cause: str) -> None:
        self.counts[f"failed: {cause}"] += 1

    def built(self, cause: str, rows: int, seconds: float) -> None:
        self.counts[f"built: {cause}"] += 1

    def pruned(self, removals: int) -> None:
        self.counts["removals pruned"] += removals


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_answers_are_exact_while_everybody_writes(database: Database, tmp_path: Path) -> None:
    counts = crowded(database, tmp_path, "truncate")
    assert counts["truncates"] >= 1
    given_up = {name for name in counts if name.startswith("built: ")}
    assert given_up <= {"built: first", "built: epoch"}


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("way", ["", "1-by-hash.sql"], ids=["one table", "partitions"])
def test_upkeep_beside_everybody_costs_no_mirror(
    database: Database, tmp_path: Path, way: str
) -> None:
    if way:
        psql(database.owner, way, "2-copy.sql", "4-swap.sql")
    counts = crowded(database, tmp_path, "reindex")
    assert counts["upkeep"] >= 5
    assert {name for name in counts if name.startswith("built: ")} == {"built: first"}


def crowded(database: Database, folder: Path, disturbance: str) -> Counter[str]:
    """Everybody at once, and somebody who disturbs them; what was counted."""
    with psycopg.connect(database.owner) as connection:
        for project in PROJECTS:
            connection.execute(
                "insert into projects (name, timezone) values (%s, %s)",
                [project.name, project.timezone],
            )
    heard = _Counting()
    plan = Plan(folder, database.reader, database.owner, pace=PACE, listener=heard)
    keeper = Keeper(plan)
    keeper.start()
    crowd = Crowd(database, keeper)
    try:
        writers = [crowd.write] * WRITERS
        readers = [crowd.read] * READERS
        crowd.run(*writers, *readers, crowd.read_slowly, getattr(crowd, disturbance))
        crowd.read_settled()
    finally:
        keeper.close()
    counts = crowd.counts + heard.counts
    print(", ".join(f"{name} {times}" for name, times in counts.most_common()))
    assert not crowd.failures, crowd.failures
    assert counts["comparisons"] >= 100
    assert min(counts["with a tail"], counts["with removals"]) >= 50
    assert min(counts["syncs"], counts["transactions"], counts["removals pruned"]) >= 20
    return counts
