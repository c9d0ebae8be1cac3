"""Bugs put in on purpose, one at a time: each takes away a guard that exactness rests on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from analytics import sql
from analytics.engines import mirrored, seen
from analytics.engines.mirrored import MirrorEngine
from analytics.engines.seen import first_seen
from analytics.mirror import build, changes, history, look, sync
from analytics.mirror.columns import SCHEMA
from analytics.mirror.keeper import Keeper
from analytics.mirror.known import Known
from analytics.mirror.looks import Looks
from analytics.mirror.state import check
from analytics.mirror.store import Store
from analytics.mirror.user_days import UserDays
from analytics.mirror.users import NEVER, Users

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]
_FOR_EVER = 2**63 - 1


def in_sql(name: str, old: str, new: str) -> Bug:
    """The statement `<engine>/<name>` with one part of its text replaced."""
    original = sql.statement

    def statement(engine: str, wanted: str) -> str:
        text = original(engine, wanted)
        if f"{engine}/{wanted}" != name:
            return text
        assert old in text, f"{name} has changed; this bug can't be put in any more"
        return text.replace(old, new)

    def put_in(patch: Patch) -> None:
        statement(*name.split("/", 1))
        for module in list(sys.modules.values()):
            if getattr(module, "statement", None) is original:
                patch.setattr(module, "statement", statement)

    return put_in


def _facts(**changed: Callable[[Any, Any], Any]) -> Bug:
    """What Postgres says of itself, made to look as the file expects it."""

    def unchecked(facts: Any, state: Any) -> None:
        check(replace(facts, **{k: make(facts, state) for k, make in changed.items()}), state)

    def put_in(patch: Patch) -> None:
        for module in (sync, look):
            patch.setattr(module, "check", unchecked)

    return put_in


def _unseen(field: str) -> Bug:
    """One part of the history is not compared."""
    return _facts(
        history=lambda facts, state: facts.history._replace(
            **{field: getattr(state.history, field)}
        )
    )


def _doomed_left_out(patch: Patch) -> None:
    for module in (sync, build):
        read = module.read

        def without(connection: Any, name: str, span: Any, read: Any = read) -> Any:
            if name == "removed" and span["removed_before"] == _FOR_EVER:
                return SCHEMA.empty_table()
            return read(connection, name, span)

        patch.setattr(module, "read", without)


def _removals_after_rows(patch: Patch) -> None:
    take_out, take_in = sync._take_out, sync.take_in
    put_off: list[Any] = []
    patch.setattr(sync, "_take_out", lambda *arguments: put_off.append(arguments))

    def rows_first(*arguments: Any) -> Any:
        people = take_in(*arguments)
        if put_off:
            take_out(*put_off.pop())
        return people

    patch.setattr(sync, "take_in", rows_first)


def _no_lock(patch: Patch) -> None:
    lock = ";\nlock table events in access share mode"
    assert lock in history._BEGIN
    patch.setattr(history, "_BEGIN", history._BEGIN.replace(lock, ""))


def _triggers_not_counted(patch: Patch) -> None:
    facts = history._facts
    patch.setattr(history, "_facts", lambda row: facts((*row[:-1], 0)))


def _state_read_after_the_look(patch: Patch) -> None:
    """The file is seen as it is once Postgres has been looked at."""

    @contextmanager
    def late(self: MirrorEngine, question: Any, *_: Any, **__: Any) -> Iterator[Any]:
        keeper, project = self._keeper, question.project.id
        with keeper.store().reading(self._timeout) as (_, state):
            pass
        with (
            mirrored.look(keeper.sessions, state, project, self._timeout) as above,
            keeper.store().reading(self._timeout) as (cursor, later),
        ):
            seen = first_seen(cursor, later, keeper.store().users, project)
            yield cursor, seen.with_look(above)

    patch.setattr(MirrorEngine, "_seeing", late)


def _counts_not_checked(patch: Patch) -> None:
    patch.setattr(changes, "_require_possible", lambda *_: None)

    def take_out(cursor: Any, gone: Any, batch: Any, people: Any) -> None:
        cursor.register("gone", sync._by_keys(gone, batch, people, sign=-1))
        cursor.execute(sql.statement("sync", "delete_events"))

    patch.setattr(sync, "_take_out", take_out)


def _moves(*, late: bool, removed: bool) -> Bug:
    """First days move by late events only, or by removals only."""

    def moves(batch: Any, known: Any) -> Any:
        people, days, events = batch.sums
        firsts = known.first_days[people]
        moving = late & (days < firsts) | removed & (days == firsts) & (events < 0)
        found = np.zeros(len(known.keys), np.bool_)
        found[people[moving]] = True
        return found

    return lambda patch: patch.setattr(changes, "_moves", moves)


def _memory_of_any_state(what: str) -> Bug:
    """Users, or their days, are believed to be in memory as the question's file has them."""
    asked = getattr(Users, what)

    def unchecked(self: Users, _: Any, *people: Any) -> Any:
        return self._version and asked(self, self._version.token, *people)

    return lambda patch: patch.setattr(Users, what, unchecked)


def _remembered(**changed: Callable[[Any, Any], Any]) -> Bug:
    """Memory isn't told everything of what a sync made of people."""
    advance = Users.advance

    def deaf(self: Users, before: Any, after: Any, applied: Any) -> None:
        told = {name: tell(applied.was, applied.now) for name, tell in changed.items()}
        advance(self, before, after, applied._replace(now=applied.now._replace(**told)))

    return lambda patch: patch.setattr(Users, "advance", deaf)


def _days_in_memory_since_the_next(patch: Patch) -> None:
    find = UserDays.find
    patch.setattr(UserDays, "find", lambda self, keys, since: find(self, keys, since + 1))


def _days_not_added(patch: Patch) -> None:
    """Memory keeps the days that it was filled with."""
    advance = Users.advance

    def deaf(self: Users, before: Any, after: Any, applied: Any) -> None:
        advance(self, before, after, applied._replace(user_days=applied.user_days.slice(0, 0)))

    patch.setattr(Users, "advance", deaf)


def _unsettled(*, late: bool, removed: bool) -> Bug:
    """The last day is taken to settle what late events, or removals, change."""
    unsettled = changes._unsettled

    def fewer(batch: Any, known: Any, earliest: Any, grains: Any) -> Any:
        by_removal = changes._removed(batch)
        by_lateness = unsettled(batch, known, earliest, grains) & ~by_removal
        unknown = known.last_days == NEVER
        return removed & by_removal | late & by_lateness | unknown

    return lambda patch: patch.setattr(changes, "_unsettled", fewer)


def _calendar_kept_in_memory(patch: Patch) -> None:
    """Days are remembered though they were recalculated."""
    recalculate = sync._recalculate

    def unnoticed(cursor: Any, stale: dict[Any, Any], horizon: int) -> None:
        recalculate(cursor, stale, horizon)
        stale.clear()

    patch.setattr(sync, "_recalculate", unnoticed)


def _state_committed_first(patch: Patch) -> None:
    """The tidemark is in force before the rows are."""
    apply, write_state = sync._apply, sync.write_state
    states: list[Any] = []

    def both(lookup: Any, known: Any, found: Any, *others: Any) -> Any:
        with_state = replace(states[-1], horizon=found.facts.xmin)
        write_state(lookup.cursor, with_state)
        lookup.cursor.execute("commit")
        lookup.cursor.execute("begin")
        return apply(lookup, known, found, *others)

    advanced = sync._advanced

    def noted(*arguments: Any) -> Any:
        states.append(advanced(*arguments))
        return states[-1]

    patch.setattr(sync, "_advanced", noted)
    patch.setattr(sync, "_apply", both)


def _glimpse_unchecked(patch: Patch) -> None:
    """A statement outside a transaction is taken to see what was known, whatever was committed."""

    def unchecked(self: Store, _: Any, sql: str, limit: timedelta) -> Any:
        with self.reading(limit) as (cursor, _):
            return cursor.execute(sql).fetchall()

    patch.setattr(Store, "glimpse", unchecked)


def _answers_kept(patch: Patch) -> None:
    """Answers that were kept are given after the next commit, too."""
    made, kept = Known.__init__, dict[str, Any]()

    def with_those_of_before(self: Known, state: Any) -> None:
        made(self, state)
        self.answers = kept

    patch.setattr(Known, "__init__", with_those_of_before)


def _look_under_way_shared(patch: Patch) -> None:
    """Who comes while a look is under way takes that one, though it was begun before."""
    soon, under_way = Looks.soon, dict[Any, Any]()

    def joined(self: Looks, state: Any, project_id: int) -> Any:
        found = under_way.get((state, project_id))
        if found is None or found.done():
            found = under_way[state, project_id] = soon(self, state, project_id)
        return found

    patch.setattr(Looks, "soon", joined)


def _state_kept(patch: Patch) -> None:
    """What the file said of itself at first is believed for ever."""
    read, first = Store._seen_state, dict[Any, Any]()

    def kept(self: Store, cursor: Any, before: Any) -> Any:
        return first.setdefault(self, read(self, cursor, before))

    patch.setattr(Store, "_seen_state", kept)


def _changes_kept(patch: Patch) -> None:
    """What was found above the tidemark is taken for all that ever will be there."""
    patch.setattr(seen.Seen, "with_look", lambda self, look: replace(self, look=look))


def _version_without_tidemark(patch: Patch) -> None:
    def data_version(sight: Any) -> str:
        return f"{sight.changed_at}.{sight.look.rows}.{sight.look.removals}"

    patch.setattr(seen.Seen, "data_version", property(data_version))


def _sleep_unnoticed(patch: Patch) -> None:
    patch.setattr(Keeper, "require_awake", lambda _: None)


_BEFORE = " and ingest_xid < %(before)s::text::xid8"
_VERSION = " and events.ingest_xid = gone.ingest_xid"

BUGS: dict[str, Bug] = {
    "rows above the tidemark are synced": in_sql("sync/events_by_xid", _BEFORE, ""),
    "rows above the tidemark are built in": in_sql("sync/events_by_page", _BEFORE, ""),
    "rows below the last tidemark are synced again": in_sql(
        "sync/events_by_xid", "ingest_xid >= %(since)s::text::xid8 and", ""
    ),
    "tail begins above the tidemark": in_sql("sync/tail", "ingest_xid >= ", "ingest_xid > "),
    "tail begins at nothing": in_sql("sync/tail", "ingest_xid >= %(horizon)s::text::xid8", "true"),
    "questions don't read the log of removals": in_sql(
        "sync/tail_removed", "removed_xid >= %(horizon)s", "false and removed_xid >= %(horizon)s"
    ),
    "questions set off removals of the tail, too": in_sql(
        "sync/tail_removed", " and ingest_xid < %(horizon)s::text::xid8", ""
    ),
    "syncs don't read the log of removals": in_sql("sync/removed", "where", "where false and"),
    "syncs take removals above the tidemark": in_sql(
        "sync/removed", " and removed_xid < %(removed_before)s::text::xid8", ""
    ),
    "removals match by id alone": in_sql("sync/delete_events", _VERSION, ""),
    "doomed events are not taken in": _doomed_left_out,
    "removals are applied after rows": _removals_after_rows,
    "floor is not checked": _facts(removed_floor=lambda *_: 0),
    "token is not checked": _facts(tokens=lambda _, state: (state.token,)),
    "counter is not checked": _facts(xmin=lambda *_: _FOR_EVER),
    "database is not compared": _unseen("database_oid"),
    "table is not compared": _unseen("events_oid"),
    "epoch is not compared": _unseen("epoch"),
    "definition is not compared": _unseen("events_definition"),
    "triggers are not counted": _triggers_not_counted,
    "no lock before the snapshot": _no_lock,
    "state is read after the look": _state_read_after_the_look,
    "a glimpse of the file is not checked": _glimpse_unchecked,
    "answers are kept for ever": _answers_kept,
    "a look under way is shared": _look_under_way_shared,
    "the state is not read again after a commit": _state_kept,
    "what was found above the tidemark is kept": _changes_kept,
    "counts are not checked": _counts_not_checked,
    "tidemark is in force before its rows": _state_committed_first,
    "late events move nobody": _moves(late=False, removed=True),
    "removals move nobody": _moves(late=True, removed=False),
    "days that changed are not looked at in the file": in_sql(
        "sync/days", "day >= $since", "day > $since"
    ),
    "days that changed are not looked at in memory": _days_in_memory_since_the_next,
    "users in memory are taken for those of any state": _memory_of_any_state("find"),
    "days in memory are taken for those of any state": _memory_of_any_state("days"),
    "days in memory stay as they were": _days_not_added,
    "who left stays in memory": _remembered(
        first_days=lambda was, now: np.minimum(was.first_days, now.first_days)
    ),
    "last days in memory move on only": _remembered(
        last_days=lambda was, now: np.where(
            was.keys < 0, now.last_days, np.maximum(was.last_days, now.last_days % NEVER)
        )
    ),
    "days in memory outlive their calendar": _calendar_kept_in_memory,
    "last day settles removals": _unsettled(late=True, removed=False),
    "last day settles late events": _unsettled(late=False, removed=True),
    "data version counts above an unknown tidemark": _version_without_tidemark,
    "a file of before answers alone before it is synced": _sleep_unnoticed,
}
