"""The mirror's file: opened and checked, read and written in transactions.

A file is whole when it has its row in `mirror`: a build that was interrupted leaves none, and the
file is thrown away. DuckDB's own write-ahead log makes each transaction hold or not happen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

import duckdb

from analytics.deadline import deadline
from analytics.duck import (
    DuckLimits,
    Literal,
    lacks_memory,
    lock_down,
    open_database,
    transaction,
    written,
)
from analytics.errors import DeadlineExceeded, gist
from analytics.mirror.courtesy import Courtesy
from analytics.mirror.errors import MirrorBroken, MirrorUnavailable, Overtaken
from analytics.mirror.history import History
from analytics.mirror.known import Known, Rows
from analytics.mirror.layout import FORMAT, LAYOUT
from analytics.mirror.state import State
from analytics.mirror.users import Users

Cursor = duckdb.DuckDBPyConnection

_STATE: Final = """/* tidemark mirror state */
select
    format, mirror_id, token, horizon, as_of,
    system_identifier, timeline, database_oid, events_oid, epoch, events_definition
from mirror"""

_WRITTEN_STATE: Final = """/* tidemark mirror state */
insert into mirror values (
    $format, $mirror_id, $token, $horizon, $as_of,
    $system_identifier, $timeline, $database_oid, $events_oid, $epoch, $events_definition
)"""

# Sees nothing but fixes what the transaction sees, in half the time that the state takes to read.
_PIN: Final = "/* tidemark mirror pin */ select 1 from mirror limit 0"

# What DuckDB says when it can't read its own file, or has given the database up.
_FATAL: Final = (
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.IOException,
    duckdb.SerializationException,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Commits:
    """Stands for the commits so far: another one after each, and another while one is under way.

    Attributes:
        known: of the file since the last of them, once somebody has read it.
        under_way: whether a commit is, so that nobody knows which state a reader finds.
    """

    known: Known | None = None
    under_way: bool = False


class Store:
    """One file, held open. Shared between threads: each reads through a cursor of its own."""

    def __init__(self, path: Path, database: duckdb.DuckDBPyConnection, spill: Path) -> None:
        """Takes a database just opened; `open` and `create` make one."""
        self.path = path
        self.courtesy, self.users = Courtesy(), Users()
        self._database = database
        self._spill = spill
        self._inode = path.stat().st_ino
        self._lock = Lock()
        self._users, self._closing = 0, False
        self._commits = _Commits()
        self._large_commit = Lock()
        self._large_commits = 0

    @classmethod
    def create(cls, path: Path, spill: Path, limits: DuckLimits) -> Self:
        """A new, empty file; it can't be opened again before `write_state` was committed.

        Raises:
            MirrorUnavailable: the file can't be made, for instance because the disk is full.
        """
        store = cls._connected(path, spill, limits)
        with store.writing() as cursor:
            cursor.execute(LAYOUT)
        return store

    @classmethod
    def open(cls, path: Path, spill: Path, limits: DuckLimits) -> Self:
        """The whole file at `path`.

        Raises:
            MirrorBroken: there is none, it is damaged or unfinished, or of another format.
        """
        if not path.exists():
            raise MirrorBroken("the mirror's file is gone", cause="deleted")
        store = cls._connected(path, spill, limits)
        try:
            with store.reading(timedelta(seconds=30)) as (cursor, _):
                _state(cursor)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def _connected(cls, path: Path, spill: Path, limits: DuckLimits) -> Self:
        try:
            database = open_database(spill, limits, path)
            lock_down(database)
        except duckdb.Error as error:
            raise MirrorBroken(
                f"the mirror's file can't be opened: {gist(error)}", cause="unreadable"
            ) from error
        return cls(path, database, spill)

    @contextmanager
    def reading(self, limit: timedelta) -> Iterator[tuple[Cursor, State]]:
        """A cursor in a transaction that sees one state of the file, and that state.

        The state is read once after each commit: as long as none began or ended between the look
        at the count and the first statement, the transaction sees what the last one saw.

        Raises:
            DeadlineExceeded: the block took longer than `limit`.
            MirrorBroken: the file can't be read.
            MirrorUnavailable: memory or disk did not suffice, or the file is closed already.
            Overtaken: what was read in the block is not to be believed; read again.
        """
        with (
            self._used(),
            self._not_overtaken(),
            self._explained(limit),
            closing(self._database.cursor()) as cursor,
        ):
            before = self._commits
            with transaction(cursor), deadline(cursor, limit):
                yield cursor, self._seen_state(cursor, before)

    @contextmanager
    def _not_overtaken(self) -> Iterator[None]:
        """See to it that no large commit comes while the block reads; one under way is waited for.

        Of a transaction that adds a row group or more to a table, or the first rows to an empty
        one, every other transaction sees these rows for a moment, before they are committed
        (DuckDB 1.5.5 moves them into the table first, and says whose they are afterwards).
        """
        with self._large_commit:
            before = self._large_commits
        try:
            yield
        except (duckdb.Error, MirrorUnavailable) as error:
            if self._large_commits != before:
                raise Overtaken from error
            raise
        if self._large_commits != before:
            raise Overtaken

    def _seen_state(self, cursor: Cursor, before: _Commits) -> State:
        """The state that a transaction sees which was begun after the look at `before`."""
        if before.known is not None:
            cursor.execute(_PIN)
            if self._commits is before:
                return before.known.state
            return _state(cursor)
        state = _state(cursor)
        with self._lock:
            if self._commits is before and not before.under_way:
                self._commits = _Commits(Known(state))
        return state

    @property
    def known(self) -> Known | None:
        """What is known of the file, if its state was read since the last commit."""
        return self._commits.known

    def glimpse(self, known: Known, sql: str, limit: timedelta) -> Rows | None:
        """The rows of one statement, if it sees the file as it is known; None if that moved on.

        A transaction to itself, without the three statements around it; and none at all if the
        same was asked since the last commit.

        Raises:
            DeadlineExceeded, MirrorBroken, MirrorUnavailable: as in `reading`.
        """
        kept = known.answers.get(sql)
        if kept is not None:
            return kept if self._commits.known is known else None
        with (
            self._used(),
            self._explained(limit),
            closing(self._database.cursor()) as cursor,
            deadline(cursor, limit),
        ):
            before = self._commits
            if before.known is not known:
                return None
            rows = cursor.execute(sql).fetchall()
            if self._commits is not before:
                return None
            known.keep(sql, rows)
            return rows

    @contextmanager
    def writing(self, *, large: bool = False) -> Iterator[Cursor]:
        """A cursor in the one transaction that writes, committed behind the block.

        `large` says that a table may get a row group or more, or its first rows.

        Raises:
            MirrorBroken: the file can't be written any more.
            MirrorUnavailable: memory or disk did not suffice; nothing was written.
        """
        with self._used(), self._explained(None), closing(self._database.cursor()) as cursor:
            cursor.execute("begin")
            try:
                yield cursor
                self._commits = _Commits(under_way=True)
                with self._large_commit if large else nullcontext():
                    self._large_commits += large
                    cursor.execute("commit")
            except BaseException:
                _roll_back(cursor)
                raise
            finally:
                self._commits = _Commits()

    def require_present(self) -> None:
        """See to it that the open file is still the one in the folder.

        Raises:
            MirrorBroken: somebody deleted or replaced it.
        """
        try:
            present = self.path.stat().st_ino == self._inode
        except OSError:
            present = False
        if not present:
            raise MirrorBroken("the mirror's file was deleted under us", cause="deleted")

    def bytes(self) -> int:
        """Size of the file with its log, in bytes."""
        log = self.path.with_name(f"{self.path.name}.wal")
        return sum(each.stat().st_size for each in (self.path, log) if each.exists())

    def checkpoint(self) -> bool:
        """Move what the log holds into the file; False while a reader is in the way.

        That is who began to read before the last commit.

        Raises:
            MirrorBroken: DuckDB gave the database up, as it does when the disk is full.
        """
        with self._explained(None), closing(self._database.cursor()) as cursor:
            try:
                cursor.execute("checkpoint")
            except duckdb.TransactionException as error:
                # What a reader may still need counts as written by a transaction under way.
                if "other write transactions active" not in str(error):
                    raise
                return False
        return True

    def close(self) -> None:
        """Close the file, at once or behind the last of the questions under way; none begins."""
        with self._lock:
            self._closing = True
            idle = self._users == 0
        if idle:
            self._database.close()

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Keep the database open for the block: DuckDB closes every cursor along with it."""
        with self._lock:
            if self._closing:
                raise MirrorUnavailable("the mirror was thrown away just now", cause="closed")
            self._users += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._closing and self._users == 0
        if last:
            self._database.close()

    @contextmanager
    def _explained(self, limit: timedelta | None) -> Iterator[None]:
        """DuckDB's errors as those of this package."""
        try:
            yield
        except duckdb.InterruptException as error:
            seconds = limit.total_seconds() if limit else 0
            raise DeadlineExceeded(
                f"the query ran past its {seconds:g} s; ask for a shorter range or raise the limit"
            ) from error
        except duckdb.TransactionException as error:
            # There is one writer, so no transaction is in the way: the log couldn't be written.
            raise MirrorUnavailable(
                f"the mirror can't be written: {gist(error)}", cause="disk"
            ) from error
        except _FATAL as error:
            if str(self._spill) in str(error) or isinstance(error.__cause__, OSError):
                raise MirrorUnavailable(
                    f"the mirror can't spill to disk: {gist(error)}", cause="disk"
                ) from error
            raise MirrorBroken(
                f"the mirror's file can't be used any more: {gist(error)}", cause="unreadable"
            ) from error
        except duckdb.Error as error:
            if not lacks_memory(error):
                raise
            raise MirrorUnavailable(
                f"the mirror needs more memory than it may have: {gist(error)}", cause="memory"
            ) from error


def write_state(cursor: Cursor, state: State) -> None:
    """Put the file's account of itself, and with it everything of this transaction, in force."""
    values: dict[str, Literal] = {
        "format": FORMAT,
        "mirror_id": state.mirror_id,
        "token": state.token,
        "horizon": state.horizon,
        "as_of": state.as_of and state.as_of.replace(tzinfo=None),
        **state.history._asdict(),
    }
    cursor.execute("delete from mirror")
    cursor.execute(written(_WRITTEN_STATE, values))


def _state(cursor: Cursor) -> State:
    """Raises MirrorBroken where the file has no account of itself, or that of another format."""
    try:
        row: tuple[Any, ...] | None = cursor.execute(_STATE).fetchone()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise MirrorBroken(
            f"the file is of another version of Tidemark: {gist(error)}", cause="version"
        ) from error
    if row is None:
        raise MirrorBroken("the mirror's file was never finished", cause="unfinished")
    form, mirror_id, token, horizon, as_of, *history = row
    if form != FORMAT:
        raise MirrorBroken(
            f"the file has format {form}, this version of Tidemark needs {FORMAT}", cause="version"
        )
    return State(mirror_id, token, horizon, as_of and as_of.replace(tzinfo=UTC), History(*history))


def _roll_back(cursor: Cursor) -> None:
    try:
        cursor.execute("rollback")
    except duckdb.Error:
        # Nothing to roll back: the transaction, or the whole database, is gone already, which is
        # what the error under way says.
        return


def remove(path: Path) -> None:
    """Delete the file and its log, where they exist."""
    for each in (path, path.with_name(f"{path.name}.wal")):
        each.unlink(missing_ok=True)
