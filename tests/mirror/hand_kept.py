"""A keeper without its thread: every step is a test's own, and nothing happens by itself."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from analytics.duck import DuckLimits
from analytics.engines.mirrored import MirrorEngine
from analytics.mirror.codes import decoded
from analytics.mirror.compaction import compact
from analytics.mirror.home import MirrorHome
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Plan
from analytics.mirror.state import State
from analytics.mirror.store import Store, remove
from analytics.mirror.user_days import UserDays
from analytics.mirror.users import NEVER, People
from analytics.mirror.verify import Verified, verify
from tests.conftest import Database

_EVERYBODY = """select project_id, user_id, users.user_key, first_day, max(day)
from
    users
    join (
        select user_key, day from (from user_days union all from recent_user_days)
        group by all having sum(events) > 0
    ) as days using (user_key)
group by all"""
_EVERY_DAY = """select user_key, day, sum(events)::bigint
from (from user_days union all from recent_user_days) group by all having sum(events) <> 0"""

LIMITS = DuckLimits(threads=1, memory_megabytes=256)


def every_day(days: UserDays) -> list[tuple[int, int, int]]:
    """Each user's number of events on each day, where it isn't 0, as memory has it."""
    sums = Counter[tuple[int, int]]()
    for run in days.runs:
        keys_and_days = zip(*(each.tolist() for each in decoded(run.codes)), strict=True)
        for at, events in zip(keys_and_days, run.events.tolist(), strict=True):
            sums[at] += events
    return [(*at, events) for at, events in sums.items() if events]


class HandKept(Keeper):
    """A keeper that opens, builds, syncs, prunes and compacts when it is told to."""

    def __init__(self, database: Database, folder: Path, limits: DuckLimits = LIMITS) -> None:
        super().__init__(Plan(folder, database.reader, database.owner, limits))
        self.database = database
        self.engine = MirrorEngine(self)

    def start(self) -> None:
        """Take the folder, start no thread."""
        self._home = MirrorHome.take(self._plan.folder)

    def open_or_build(self) -> Store:
        """Open what lies in the folder, or build; the mirror there is afterwards."""
        with self._turn:
            if self._store is None:
                self._open_or_build()
        return self.store()

    def rebuild_now(self) -> None:
        """Throw the mirror away, if there is one, and build it anew."""
        self.rebuild()
        self.open_or_build()

    def step(self, waited: float) -> float:
        """What the keeper's thread does each time; how long it would wait then."""
        with self._turn:
            return self._step(waited)

    def prune(self) -> None:
        with self._turn:
            self._prune(self.store())

    def compact(self) -> bool:
        with self._turn:
            return compact(self.store(), self._piled)

    def forget_erased(self) -> bool:
        """A new file, if the present one may hold somebody erased; whether it was due."""
        due = self._may_hold_erased(self.store())
        if due:
            self._rewrite()
        return due

    def verified(self) -> Verified:
        """The whole file held against Postgres, roll-ups too."""
        with self._turn:
            return verify(self.store(), self.sessions, lambda *_: None)

    def state(self) -> State:
        """What the file says of itself."""
        with self.store().reading(self.engine._timeout) as (_, state):
            return state

    def misremembered(self) -> list[str]:
        """Of whom memory says something else than the file; of nobody, if it is of another state.

        A last day may be unknown, but not wrong. Days may all be unknown.
        """
        store = self.store()
        with store.reading(self.engine._timeout) as (cursor, state):
            rows = cursor.execute(_EVERYBODY).fetchall()
            days_in_file = cursor.execute(_EVERY_DAY).fetchall()
        projects, names, *in_file = zip(*rows, strict=True) if rows else ((),) * 5
        people = People(np.array(projects, np.int64), pa.array(names, pa.string()), np.zeros(0))
        found = store.users.find(state.token, people)
        if found is None:
            return []
        in_memory = zip(*(each.tolist() for each in found), strict=True)
        days = store.users.days(state.token)
        days_in_memory = days_in_file if days is None else every_day(days)
        return [
            f"user {key} has {events} more or fewer events on {day} in one of the two"
            for key, day, events in set(days_in_memory) ^ set(days_in_file)
        ] + [
            f"{name!r} is {ours}, not {theirs}"
            for name, ours, theirs in zip(names, in_memory, zip(*in_file, strict=True), strict=True)
            if ours not in (theirs, (*theirs[:2], NEVER))
        ]

    def leave_files(self, folder: Path) -> None:
        """Put into `folder` what the disk would hold if this process were killed now."""
        own = folder / "0"
        own.mkdir(parents=True, exist_ok=True)
        for path in self.home.files():
            for each in (path, path.with_name(f"{path.name}.wal")):
                if each.exists():
                    shutil.copyfile(each, own / each.name)

    def close_for_good(self) -> None:
        """Close, and throw the files away, as nobody will open them again."""
        files = self.home.files()
        self.close()
        for path in files:
            remove(path)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
