"""Anything that writers, operators and crashes may do, one step after the other, at random.

Several connections with open transactions write the same few events over and over; between their
steps the mirror is synced, pruned, compacted, rebuilt, killed and opened again. After every step
it must answer as SQL and the reference do. Only one thing happens at a time, so all three see the
same.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from psycopg.pq import TransactionStatus

from analytics.calendar import WeekStart
from analytics.engines.protocol import Freshness
from analytics.events import ProjectId
from analytics.mirror import compaction, sync, user_days, users
from analytics.mirror.errors import MirrorUnavailable
from analytics.project import Project
from tests.conftest import Database
from tests.mirror.comparison import Comparison, Window, around
from tests.mirror.faults import Crash, Fault, struck
from tests.mirror.hand_kept import HandKept

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns")
PROJECTS = (1, 2, 3)  # the third has no row: its calendar is the default
EVENTS = tuple(UUID(int=number) for number in range(1, 9))
USERS = ("ann", "Ann", "ä", "01")
TYPES = ("look", "buy", "🦦")
WRITERS, MOST_PREPARED = 4, 2

_TICK = timedelta(microseconds=1)
_SPRING, _AUTUMN = datetime(2025, 3, 9, 7, tzinfo=UTC), datetime(2025, 11, 2, 6, tzinfo=UTC)
INSTANTS = (
    *(at + tick for at in (_SPRING, _AUTUMN) for tick in (-_TICK, timedelta(0), _TICK)),
    *(datetime(2025, 3, 9, hour, tzinfo=UTC) - _TICK for hour in (0, 4, 5, 10)),
    *(datetime(2025, 3, day, 5, tzinfo=UTC) for day in (1, 2, 3, 8, 10, 12, 17)),
    *(datetime(2025, 2, day, tzinfo=UTC) for day in (1, 3, 9, 23)),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
    datetime(2006, 10, 29, 2, 31, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2031, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
)
WINDOWS = (
    around(_SPRING.date(), 16),
    around(_SPRING.date(), 1, weeks=2),
    Window(date(2025, 1, 27), date(2025, 11, 9), weeks=42),
    around(date(2011, 12, 30), 9),
    Window(date(1969, 12, 22), date(1970, 1, 11)),
)

_INSERT = """insert into events (project_id, event_id, occurred_at, user_id, event_type)
values (%s, %s, %s, %s, %s)"""
_CONFLICTS = (
    "",
    " on conflict do nothing",
    """ on conflict (project_id, event_id) do update
    set occurred_at = excluded.occurred_at, user_id = excluded.user_id""",
)
_CONDITIONS = {
    "event_id": st.sampled_from(EVENTS),
    "user_id": st.sampled_from(USERS),
    "event_type": st.sampled_from(TYPES),
    "project_id": st.sampled_from(PROJECTS),
}
_COLUMNS = {
    **_CONDITIONS,
    "occurred_at": st.sampled_from(INSTANTS),
    "properties": st.just("{}"),
}

_names = itertools.count()

writers = st.integers(0, WRITERS - 1)
events = st.tuples(
    st.sampled_from(PROJECTS),
    st.sampled_from(EVENTS),
    st.sampled_from(INSTANTS),
    st.sampled_from(USERS),
    st.sampled_from(TYPES),
)


def _named(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    """A column and a value for it."""
    return st.one_of([st.tuples(st.just(name), value) for name, value in values.items()])


conditions, columns = _named(_CONDITIONS), _named(_COLUMNS)
done = st.sampled_from([True, True, False])
rows = st.lists(events, min_size=1, max_size=3)

# Name, how often, arguments.
_ACTIONS: tuple[tuple[str, int, dict[str, st.SearchStrategy[Any]]], ...] = (
    ("insert", 16, {"number": writers, "rows": rows, "how": st.integers(0, 2), "done": done}),
    ("update", 8, {"number": writers, "where": conditions, "to": columns, "done": done}),
    ("delete", 6, {"number": writers, "where": conditions, "done": done}),
    ("replace", 5, {"number": writers, "row": events, "done": done}),
    ("take_number", 3, {"number": writers}),
    ("savepoint", 3, {"number": writers}),
    ("end_savepoint", 3, {"number": writers, "how": st.sampled_from(["rollback to", "release"])}),
    ("commit", 10, {"number": writers}),
    ("rollback", 3, {"number": writers}),
    ("prepare", 2, {"number": writers}),
    ("end_prepared", 4, {"how": st.sampled_from(["commit", "commit", "rollback"])}),
    ("truncate", 1, {}),
    (
        "change_calendar",
        2,
        {
            "number": st.sampled_from(PROJECTS[:2]),
            "zone": st.sampled_from(ZONES),
            "week_start": st.sampled_from(list(WeekStart)),
        },
    ),
    ("sync", 14, {}),
    ("crash", 4, {"at": st.integers(1, 34), "again": st.sampled_from([False, False, True])}),
    ("prune", 3, {}),
    ("compact", 2, {}),
    ("rebuild", 1, {}),
    ("oversleep", 1, {}),
    ("lose_lease", 1, {}),
)
actions = st.sampled_from([each for each in _ACTIONS for _ in range(each[1])]).flatmap(
    lambda each: st.tuples(st.just(each[0]), st.fixed_dictionaries(each[2]))
)

# Limits of compaction: what makes it rewrite the small table, and what the large ones too.
RECENT = ("RECENT_SHARE", "LEAST_RECENT")
REST = ("USER_DAYS_SHARE", "LEAST_USER_DAYS", "REMOVED_SHARE", "LEAST_REMOVED")


class MirrorMachine(RuleBasedStateMachine):
    """Subclasses say which databases: `new_database` makes one and names how to drop it."""

    new_database: ClassVar[Callable[[], tuple[Database, Callable[[], None]]]]
    steps: ClassVar[int] = 0
    comparisons: ClassVar[int] = 0
    taken: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tidemark-mirror-"))
        self.folders = itertools.count()
        self.database, self.drop = type(self).new_database()
        self.admin = psycopg.connect(self.database.owner, autocommit=True)
        self.admin.execute("set lock_timeout = '8ms'")
        self.writers = [self._writer() for _ in range(WRITERS)]
        self.savepoints = [0] * WRITERS
        self.turns = itertools.count()
        self.prepared: list[str] = []
        self.projects = {number: Project(ProjectId(number), str(number)) for number in PROJECTS}
        self.admin.execute("insert into projects (name) values ('1'), ('2')")
        self.provoked: set[str] = set()
        self.patch = pytest.MonkeyPatch()
        self.keeper = self._new_keeper()

    def _new_keeper(self) -> HandKept:
        keeper = HandKept(self.database, self.folder / str(next(self.folders)))
        keeper.start()
        self.comparison = Comparison(keeper)
        return keeper

    def _writer(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self.database.owner)
        connection.execute("set lock_timeout = '8ms'")
        connection.commit()
        return connection

    @initialize(
        by_page=st.booleans(),
        compacted=st.sampled_from([(), RECENT, RECENT + REST]),
        in_memory=st.sampled_from(["users and days", "users and days", "users", "nothing"]),
    )
    def begin(self, by_page: bool, compacted: tuple[str, ...], in_memory: str) -> None:
        """Small tables never reach the paths of large ones, so some runs are made to."""
        if by_page:
            self.patch.setattr(sync, "ROWS_BY_INDEX", -1)
            self.patch.setattr(sync, "PAGES_AT_ONCE", 1)
        for limit in compacted:
            self.patch.setattr(compaction, limit, 0)
        if in_memory != "users and days":
            self.patch.setattr(user_days, "MOST_BYTES", -1)
        if in_memory == "nothing":
            self.patch.setattr(users, "MOST_BYTES", -1)
        self.patch.setattr(users, "LEAST_RECENT", 1)
        self.keeper.open_or_build()
        self.keeper.sync()  # the next one fills memory

    @rule(action=actions)
    def step(self, action: tuple[str, dict[str, Any]]) -> None:
        """One rule for all: Hypothesis would leave half of many rules out of every run."""
        name, arguments = action
        type(self).taken[name] += 1
        getattr(self, name)(**arguments)

    # What writers do.

    def _write(
        self, number: int, sql: str, parameters: list[Any] | None = None, *, done: bool = False
    ) -> None:
        """A statement of a writer; where it fails, all since the last savepoint is undone."""
        connection = self.writers[number]
        try:
            connection.execute(sql, parameters)  # type: ignore[arg-type]
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation):
            if self.savepoints[number]:
                connection.execute(f"rollback to s{self.savepoints[number]}")  # type: ignore[arg-type]
            else:
                connection.rollback()
        if done:
            self.commit(number)

    def insert(self, number: int, rows: list[Any], how: int, done: bool) -> None:
        for row in rows:
            self._write(number, _INSERT + _CONFLICTS[how], list(row), done=done)

    def update(self, number: int, where: tuple[str, Any], to: tuple[str, Any], done: bool) -> None:
        sql = f"update events set {to[0]} = %s where {where[0]} = %s"
        self._write(number, sql, [to[1], where[1]], done=done)

    def delete(self, number: int, where: tuple[str, Any], done: bool) -> None:
        self._write(number, f"delete from events where {where[0]} = %s", [where[1]], done=done)

    def replace(self, number: int, row: tuple[Any, ...], done: bool) -> None:
        """Delete and write again within one transaction."""
        delete = "delete from events where project_id = %s and event_id = %s"
        self._write(number, delete, list(row[:2]))
        self._write(number, _INSERT + _CONFLICTS[1], list(row), done=done)

    def take_number(self, number: int) -> None:
        """A transaction that stays open holds the tidemark back from here on."""
        self._write(number, "select pg_current_xact_id()")

    def savepoint(self, number: int) -> None:
        self.savepoints[number] += 1
        self.writers[number].execute(f"savepoint s{self.savepoints[number]}")  # type: ignore[arg-type]

    def end_savepoint(self, number: int, how: str) -> None:
        if self.savepoints[number]:
            self.writers[number].execute(f"{how} s{self.savepoints[number]}")  # type: ignore[arg-type]
            self.savepoints[number] -= how == "release"

    def commit(self, number: int) -> None:
        self.writers[number].commit()
        self.savepoints[number] = 0

    def rollback(self, number: int) -> None:
        self.writers[number].rollback()
        self.savepoints[number] = 0

    def prepare(self, number: int) -> None:
        if len(self.prepared) == MOST_PREPARED:
            return
        name = f"prepared {next(_names)}"
        self.writers[number].execute("select 1")
        self.writers[number].execute(f"prepare transaction '{name}'")  # type: ignore[arg-type]
        self.savepoints[number] = 0
        self.prepared.append(name)

    def end_prepared(self, how: str) -> None:
        if not self.prepared:
            return
        self.admin.execute(f"{how} prepared '{self.prepared.pop(0)}'")  # type: ignore[arg-type]

    def truncate(self) -> None:
        try:
            self.admin.execute("truncate events")
        except psycopg.errors.LockNotAvailable:
            return
        self.provoked.add("epoch")

    def change_calendar(self, number: int, zone: str, week_start: WeekStart) -> None:
        change = "update projects set timezone = %s, week_start = %s where id = %s"
        self.admin.execute(change, [zone, week_start.value, number])
        self.projects[number] = Project(ProjectId(number), str(number), zone, week_start)

    # What the mirror does.

    def sync(self) -> None:
        if not self._mended(self.keeper.sync):
            return
        verified = self.keeper.verified()
        assert verified.ok, verified
        assert not self.keeper.misremembered()
        if not self._open():
            self._check_mirror_alone()

    def crash(self, at: int, again: bool) -> None:
        """Kill the process in the middle of a sync or a build, and start it again on its files."""
        remains = self.folder / str(next(self.folders))
        fault = Fault(at, self.keeper, remains)
        try:
            with struck(fault):
                self._mended(self.keeper.rebuild_now if again else self.keeper.sync)
        except Crash:
            pass
        else:
            self.keeper.leave_files(remains)
        self.keeper.close_for_good()
        self.keeper = HandKept(self.database, remains)
        self.keeper.start()
        self.comparison.keeper = self.keeper
        self.keeper.open_or_build()

    def prune(self) -> None:
        self.keeper.open_or_build()
        self.keeper.prune()
        self._compare_floor()

    def compact(self) -> None:
        self.keeper.open_or_build()
        self.keeper.compact()

    def rebuild(self) -> None:
        self.keeper.rebuild_now()
        self.provoked.clear()

    def oversleep(self) -> None:
        """The lease runs out, and another process prunes."""
        self.admin.execute("update mirror_leases set expires_at = now() - interval '1 minute'")
        sync.lease.prune(self.admin)
        self._compare_floor()

    def _compare_floor(self) -> None:
        """A mirror killed between its lease and its file has a lease that is ahead of it."""
        row = self.admin.execute("select removed_floor::text::bigint from mirror_state").fetchone()
        assert row is not None
        if row[0] > self.keeper.state().horizon:
            self.provoked.add("floor")

    def lose_lease(self) -> None:
        self.admin.execute("delete from mirror_leases")
        self.provoked.add("token")

    def _mended(self, act: Callable[[], object]) -> bool:
        """Do it; where the mirror finds itself broken by what was done to it, it is built anew."""
        self.keeper.open_or_build()
        try:
            act()
        except MirrorUnavailable as error:
            if error.cause not in self.provoked:
                raise AssertionError("nothing broke the mirror") from error
            self.provoked.clear()
            self.keeper.open_or_build()
            return False
        return True

    # What must hold.

    def _open(self) -> bool:
        """Whether any transaction is under way that could hold the tidemark back."""
        idle = TransactionStatus.IDLE
        return bool(self.prepared) or any(
            each.info.transaction_status is not idle for each in self.writers
        )

    def _check_mirror_alone(self) -> None:
        """With nothing above the tidemark the file alone gives the exact answer."""
        for number, project in self.projects.items():
            events_now = self.comparison.events(number)
            for question in WINDOWS[0].questions(project):
                alone = self.keeper.engine.answer(question, Freshness.MIRROR).rows
                assert alone == self.comparison.expected(question, events_now), question

    @invariant()
    def all_agree(self) -> None:
        cls = MirrorMachine
        cls.steps += 1
        turn = next(self.turns)
        own = self.projects[PROJECTS[turn % len(PROJECTS)]]
        other = Project(own.id, own.name, ZONES[turn % len(ZONES)], own.week_start)
        window = WINDOWS[0 if turn % 2 else turn // 2 % len(WINDOWS)]
        questions = window.questions(own)
        if turn % 3 == 0 and other != own:  # raw columns: as dear as all the rest
            questions.append(window.questions(other)[turn // 3 % 3])
        if not self._mended(lambda: self.comparison.check(own, questions)):
            self.comparison.check(own, questions)
        cls.comparisons += len(questions)

    def teardown(self) -> None:
        try:
            for each in self.writers:
                each.close()
            while self.prepared:
                self.end_prepared("rollback")
        finally:
            self.patch.undo()
            self.comparison.close()
            self.keeper.close_for_good()
            self.admin.close()
            self.drop()
            shutil.rmtree(self.folder)
