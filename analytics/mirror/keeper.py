"""Keeps a process's mirror: builds it, syncs it, prunes, compacts, throws it away, builds it anew.

One thread does all of that in the background, one thing at a time; a caller who needs a sync now
takes its turn. While there is no mirror, `store()` says why, and other engines answer. Whatever
goes wrong is logged once for each cause and tried again, less and less often.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Final

import psycopg

from analytics.mirror import erasures, lease
from analytics.mirror.build import Progress, Told, build
from analytics.mirror.compaction import Piled, compact
from analytics.mirror.errors import HistoryBroken, MirrorBroken, MirrorUnavailable
from analytics.mirror.home import MirrorHome
from analytics.mirror.plan import Plan, Status
from analytics.mirror.store import Store, remove
from analytics.mirror.sync import Synced, Syncer
from analytics.sessions import GRACE, Sessions

APPLICATION: Final = "tidemark mirror"

logger = logging.getLogger(__name__)


def _unheard(_: Progress) -> None:
    """For builds that nobody watches."""


class _Stopped(Exception):
    """The keeper is being closed."""


class Keeper:
    """A mirror and the thread that keeps it. Shared between threads."""

    def __init__(self, plan: Plan) -> None:
        """Nothing is opened before `start`."""
        self.status = Status()
        self._plan = plan
        self._sessions = Sessions(plan.reader, APPLICATION, plan.asked_at_once)
        self._turn = Lock()
        self._over, self._wake = Event(), Event()
        self._home: MirrorHome | None = None
        self._store: Store | None = None
        self._syncer: Syncer | None = None
        self._asleep = self._prunable = False
        self._piled = Piled()
        self._pruned_at = self._looked_at = self._rewrote_at = 0.0
        self._given_up = "first"
        self._thread = Thread(target=self._run, name="tidemark-mirror", daemon=True)

    def start(self) -> None:
        """Begin to keep a mirror, in a folder that is taken unless `open` has.

        Raises:
            OSError: the folder can't be made or written to.
        """
        if self._home is None:
            self._home = MirrorHome.take(self._plan.folder)
        self._thread.start()

    def open(self, told: Told = _unheard) -> None:
        """Take a folder and get a mirror into it, in this thread; only `sync` brings it up to date.

        For a command, which is over soon. May be called again after `rebuild`.

        Raises:
            OSError: the folder can't be made or written to.
            MirrorUnavailable: it can't be built now.
            psycopg.Error: what Postgres says.
        """
        with self._turn:
            if self._home is None:
                self._home = MirrorHome.take(self._plan.folder)
            if self._store is None:
                self._open_or_build(told)

    @property
    def home(self) -> MirrorHome:
        """The folder that this process holds, once started."""
        assert self._home is not None  # noqa: S101 - start() comes first
        return self._home

    @property
    def sessions(self) -> Sessions:
        """The way to Postgres that mirror questions take."""
        return self._sessions

    def store(self) -> Store:
        """The mirror to ask.

        Raises:
            MirrorUnavailable: there is none just now; the message says why.
        """
        store = self._store
        if store is None:
            raise MirrorUnavailable(
                f"the mirror is {self.status.doing}", cause=self.status.cause or "unavailable"
            )
        return store

    def require_awake(self) -> None:
        """See to it that a file of before, if this is one, has been synced since it was opened.

        Until then it may hold what was erased while nobody kept it.

        Raises:
            MirrorUnavailable: it hasn't.
        """
        if self._asleep:
            raise MirrorUnavailable(
                "the mirror's file is one of before, and hasn't been synced since the start",
                cause="asleep",
            )

    def sync(self) -> Synced:
        """Bring the mirror up to date now, in this thread, when its turn has come.

        Raises:
            MirrorUnavailable, MirrorBroken: there is none, or none any more.
            psycopg.Error: what Postgres says.
        """
        with self._turn:
            return self._sync()

    def give_up(self, error: MirrorBroken, store: Store) -> None:
        """Throw a mirror away that showed itself broken while it answered; it is built anew.

        Unless it has only moved on: to a question that was held up over two syncs, Postgres doesn't
        know its token any more, or has pruned what it needs. A sync tells.
        """
        with self._turn:
            if isinstance(error, HistoryBroken) and self._store is store:
                with suppress(MirrorUnavailable, psycopg.Error):
                    self._sync()
                    return
            if self._store is store and not isinstance(error, HistoryBroken):
                self._discard(error)
        self._wake.set()

    def rebuild(self) -> None:
        """Throw the mirror away and have it built anew; returns at once."""
        with self._turn:
            if self._store is not None:
                self._discard(MirrorBroken("a rebuild was asked for", cause="asked"))
        self._wake.set()

    @contextmanager
    def paused(self) -> Iterator[Store]:
        """The mirror, which nobody changes for the length of the block.

        Raises:
            MirrorUnavailable: there is none just now.
        """
        with self._turn:
            yield self.store()

    def close(self) -> None:
        """End the thread, close the file, let go of the folder; the mirror stays for the next."""
        self._over.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(GRACE.total_seconds())
            self._sessions.cut()
            self._thread.join()
        with self._turn:
            if self._store is not None:
                self._store.close()
                self._store = None
            self.status = Status("closed", "closed")
        if self._home is not None:
            self._home.close()
            self._home = None
        self._sessions.close()

    def _run(self) -> None:
        wait, failures = 0.0, 0
        while not self._over.is_set():
            self._wake.clear()
            began = monotonic()
            try:
                with self._turn:
                    wait = self._step(wait)
                self._forget_erased()
                failures = 0
            except _Stopped:
                return
            except (MirrorUnavailable, psycopg.Error, OSError) as error:
                failures += 1
                wait = self._failed(error, failures, monotonic() - began)
            except Exception:  # a bug; without this thread the mirror would fall behind for good
                failures += 1
                logger.exception("mirror.crashed")
                crash = MirrorUnavailable(cause="crash")
                wait = self._failed(crash, failures, monotonic() - began)
            if wait > 0:
                self._wake.wait(wait)

    def _step(self, waited: float) -> float:
        """Do what is due; how long to wait before the next step, in seconds."""
        if self._store is None:
            self._open_or_build()
            return 0.0
        synced = self._sync()
        pace = self._plan.pace
        if self._prunable or monotonic() - self._pruned_at >= pace.prune.total_seconds():
            self._prune(self._store)
        self._compact(self._store)
        shortest = max(pace.shortest.total_seconds(), pace.rest * synced.seconds)
        if synced.rows or synced.removals or self._prunable:
            return shortest
        return min(max(shortest, waited * 1.5), pace.longest.total_seconds())

    def _open_or_build(self, heard: Told = _unheard) -> None:
        for path in self.home.files():
            if self._store is None and self._given_up == "first":
                store = self._opened(path)
                if store is not None:
                    self._use(store, asleep=True)
                    continue
            remove(path)  # older ones too: they may hold somebody who was erased
        if self._store is None:
            self._build(heard)

    def _opened(self, path: Path) -> Store | None:
        try:
            return Store.open(path, self.home.spill(path), self._plan.limits)
        except MirrorBroken as error:
            logger.warning("mirror.not_reused cause=%s: %s", error.cause, error)
            self._given_up = error.cause
            return None

    def _build(self, heard: Told) -> None:
        def told(progress: Progress) -> None:
            if self._over.is_set():
                raise _Stopped
            share = 100 * progress.ranges // progress.of
            self.status = Status(f"being built ({share}%)", "building", progress=progress)
            heard(progress)

        self.status = Status("being built", "building")
        self._use(self._new_file(self._given_up, told))

    def _new_file(self, cause: str, told: Told) -> Store:
        began, rows = monotonic(), 0

        def counted(progress: Progress) -> None:
            nonlocal rows
            rows = progress.rows
            told(progress)

        path = self.home.new_file()
        store = build(path, self.home.spill(path), self._plan.limits, self._sessions, counted)
        seconds = monotonic() - began
        logger.info("mirror.built cause=%s rows=%d seconds=%.1f", cause, rows, seconds)
        self._plan.listener.built(cause, rows, seconds)
        return store

    def _forget_erased(self) -> None:
        """A new file, when it is time to look and the present one may hold somebody erased."""
        pace, now = self._plan.pace, monotonic()
        if now - self._looked_at < pace.erasures.total_seconds():
            return
        if self._rewrote_at and now - self._rewrote_at < pace.rewrite.total_seconds():
            return
        self._looked_at = now
        if self._may_hold_erased(self.store()):
            self._rewrote_at = now
            self._rewrite()

    def _may_hold_erased(self, store: Store) -> bool:
        with store.reading(timedelta(seconds=30)) as (_, state):
            mirror_id = state.mirror_id
        with self._sessions.connection() as connection:
            return erasures.due(connection, mirror_id)

    def _rewrite(self) -> None:
        """A new file in place of the old one, which answers, and is synced, meanwhile.

        So it is built outside the keeper's turn.
        """
        synced_at = monotonic()

        def told(_: Progress) -> None:
            nonlocal synced_at
            if self._over.is_set():
                raise _Stopped
            if monotonic() - synced_at < self._plan.pace.longest.total_seconds():
                return
            # What ails the old file is logged, and no reason to end the new one.
            with suppress(MirrorUnavailable, psycopg.Error), self._turn:
                self._sync()
            synced_at = monotonic()

        fresh = self._new_file("erasure", told)
        with self._turn:
            old = self._store
            self._use(fresh)
        if old is not None:
            self._retire(old)

    def _use(self, store: Store, *, asleep: bool = False) -> None:
        self._asleep = asleep
        self._syncer, self._piled = Syncer(store, self._sessions), Piled()
        self._store = store
        self._given_up = "first"
        self.status = Status("ready", None)

    def _sync(self) -> Synced:
        store, syncer = self.store(), self._syncer
        assert syncer is not None  # noqa: S101 - there is one with every store
        try:
            synced = syncer.sync()
        except MirrorBroken as error:
            self._discard(error)
            raise
        self._asleep = False
        self._piled.user_days += synced.user_days
        self._piled.removed += synced.removals
        if self._store is store:
            self.status = Status("ready", None, latest=synced)
        self._plan.listener.synced(synced)
        return synced

    def _compact(self, store: Store) -> None:
        try:
            if compact(store, self._piled):
                logger.info("mirror.compacted")
        except MirrorBroken as error:
            self._discard(error)
            raise
        except MirrorUnavailable as error:  # for want of disk or memory: it is only put off
            logger.warning("mirror.not_compacted cause=%s: %s", error.cause, error)
            self._plan.listener.failed(error.cause)

    def _prune(self, store: Store) -> None:
        """A part of what may go; the next step takes the next, a sync later."""
        self._pruned_at, self._prunable = monotonic(), False
        with store.reading(timedelta(seconds=30)) as (_, state):
            mirror_id = state.mirror_id
        with self._sessions.connection() as connection:
            lease.renew(connection, mirror_id)
        if self._plan.writer is None:
            return
        writing = Sessions(self._plan.writer, APPLICATION)
        with closing(writing), writing.connection() as connection:
            removals = lease.prune(connection, lease.AT_ONCE)
        self._prunable = removals >= lease.AT_ONCE
        if removals:
            logger.info("mirror.pruned removals=%d", removals)
            self._plan.listener.pruned(removals)

    def _discard(self, error: MirrorBroken) -> None:
        """The mirror is not asked any more; questions under way read their file to its end."""
        store, self._store, self._syncer = self._store, None, None
        self._given_up = error.cause
        self.status = Status("being built anew", error.cause)
        logger.warning("mirror.given_up cause=%s: %s", error.cause, error)
        if store is not None:
            self._retire(store)

    def _retire(self, store: Store) -> None:
        """The file goes; questions under way read it to its end.

        Its lease goes last: as long as there is one, receipts of erasures count the file.
        """
        mirror_id = None
        with suppress(MirrorUnavailable), store.reading(timedelta(seconds=5)) as (_, state):
            mirror_id = state.mirror_id
        store.close()
        remove(store.path)
        if mirror_id is not None:
            with suppress(psycopg.Error), self._sessions.connection() as connection:
                lease.release(connection, mirror_id)  # else it runs out by itself

    def _failed(self, error: Exception, failures: int, took: float) -> float:
        """Note it; how long to wait before the next try, in seconds."""
        cause = error.cause if isinstance(error, MirrorUnavailable) else type(error).__name__
        self._plan.listener.failed(cause)
        if failures == 1:
            logger.warning("mirror.failed cause=%s: %s", cause, error)
        if self._store is None and not isinstance(error, MirrorBroken):
            reason = str(error).splitlines()[0]
            self.status = Status(f"not built yet: {reason}", cause, failed=True)
        if isinstance(error, MirrorBroken) and failures == 1:
            return 0.0
        patience = self._plan.pace.patience.total_seconds()
        # A build that fails at its end would otherwise be all that this machine does.
        return max(min(float(0.5 * 2 ** (failures - 1)), patience), took)
