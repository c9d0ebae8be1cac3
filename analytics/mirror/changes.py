"""What added and removed events do to the counts: one algorithm, for sync and question alike.

A `Batch` holds events that came and events that went. Who its people are in the file is known; the
file says how many events each had on the days that matter, where the last of them doesn't settle
it. Everything else is arithmetic on columns. What comes of it are the changes of every count, as
Arrow tables:

    active_changes (project_id, grain, period, users)                      numbers of users
    cohort_changes (project_id, grain, cohort, period, users)              numbers of users
    type_changes   (project_id, day, event_type, events)                   numbers of events
    changed        (project_id, user_key, event_type, us, sign)            the events, by keys

A question adds them to what the file says; the sync writes them into the file. So what a question
sees of the tail and what the next sync makes of it can't differ.

Why not SQL, as elsewhere: a batch has few people, mostly hundreds, and a statement with a join or
two takes DuckDB two milliseconds of preparation whatever it joins. Ten of them were two thirds of
what a question with ten thousand new rows took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analytics.mirror.batch import Batch, PersonDays
from analytics.mirror.codes import coded, decoded, first_of_each, sums_from
from analytics.mirror.errors import MirrorBroken
from analytics.mirror.periods import Flags, Integers, periods
from analytics.mirror.user_days import DaysOfUsers
from analytics.mirror.users import NEVER, Keys

# By the users' keys, and the day from which on their days are wanted.
FindDays: TypeAlias = Callable[[Integers, Integers], DaysOfUsers]


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a batch's people that had events before it, or have some after it.

    All days, of people whose first day may move; of others only those in periods that change. Where
    it doesn't matter how many events somebody had, they count as one.
    """

    batch: Batch
    known: Keys
    before: PersonDays
    after: Integers

    def first_days(self) -> Integers:
        """The first day of each person after the batch, or NEVER.

        Somebody of whom only some days were looked at keeps the first day.
        """
        has_events = self.after > 0
        people, days = self.before.people[has_events], self.before.days[has_events]
        found = np.full(len(self.known.keys), NEVER, np.int64)
        starts = first_of_each(people)
        found[people[starts]] = days[starts]
        return np.where(_moves(self.batch, self.known), found, self.known.first_days)

    def last_days(self) -> Integers:
        """The last day of each person after the batch; NEVER where that wasn't looked at."""
        has_events = self.after > 0
        people, days = self.before.people[has_events], self.before.days[has_events]
        last_days = self.known.last_days.copy()
        last_days[self.batch.sums.people] = NEVER
        # All days from some day on were looked at, so the last of them is the last of all.
        ends = np.append(first_of_each(people)[1:], len(people)) - 1 if len(people) else people
        last_days[people[ends]] = days[ends]
        return last_days

    def cohorts(self, among: Flags) -> pa.Table:
        """Whose first day changes: user_key, after integer, null for people without events."""
        after = self.first_days()
        moved = np.flatnonzero(among & (after != self.known.first_days))
        return pa.table(
            {
                "user_key": _int32(self.known.keys[moved]),
                "after": _int32(after[moved], mask=after[moved] == NEVER),
            }
        )

    def user_days(self) -> pa.Table:
        """By how many events each user's days change: project_id, day, user_key, events."""
        people, days, before = self.before
        changed = np.flatnonzero(self.after != before)
        return pa.table(
            {
                "project_id": _int32(self.batch.people.projects[people[changed]]),
                "day": _int32(days[changed]),
                "user_key": _int32(self.known.keys[people[changed]]),
                "events": pa.array((self.after - before)[changed]),
            }
        )

    def active_changes(self, grains: Sequence[str]) -> pa.Table:
        """By how much the numbers of users change in each period; changes of 0 are absent."""
        found = []
        for grain in grains:
            people, period, had, has = self._periods(grain)
            differ = np.flatnonzero(had != has)
            of_projects = self.batch.people.projects[people[differ]]
            users = has[differ].astype(np.int64) - had[differ]
            found.append(_by_grain(grain, users, project_id=of_projects, period=period[differ]))
        return pa.concat_tables(found)

    def cohort_changes(self, grains: Sequence[str]) -> pa.Table:
        """By how much the numbers of users change, of each cohort in each period.

        A period that was looked at only in part counts the same before and after.
        """
        before, after = self.known.first_days, self.first_days()
        found = []
        for grain in grains:
            people, period, had, has = self._periods(grain)
            changed = (had != has) | (before != after)[people]
            left, joined = np.flatnonzero(changed & had), np.flatnonzero(changed & has)
            rows = np.concatenate([left, joined])
            firsts = np.concatenate([before[people[left]], after[people[joined]]])
            cohorts = periods(grain, firsts, self.batch.people.shifts[people[rows]])
            users = np.repeat(np.array([-1, 1]), [len(left), len(joined)])
            of_projects = self.batch.people.projects[people[rows]]
            found.append(
                _by_grain(grain, users, project_id=of_projects, cohort=cohorts, period=period[rows])
            )
        return pa.concat_tables(found)

    def _periods(self, grain: str) -> tuple[Integers, Integers, Flags, Flags]:
        """Each person's periods: who, which, and whether there were and are events in it."""
        people, days, before = self.before
        of_days = periods(grain, days, self.batch.people.shifts[people])
        codes = coded(people, of_days)
        starts = first_of_each(codes)
        if not len(starts):
            none = np.empty(0, np.bool_)
            return people, of_days, none, none
        had = np.logical_or.reduceat(before > 0, starts)
        has = np.logical_or.reduceat(self.after > 0, starts)
        return people[starts], of_days[starts], had, has


def find_days(find: FindDays, batch: Batch, known: Keys, grains: Sequence[str]) -> Days:
    """All that the counts of users by these grains depend on.

    An event changes the periods of `grains` that it lies in and no others, unless it is before a
    user's first day, or was removed from that: then the user may move to another cohort. There is
    no day of the user before that one, so all are looked at.

    Raises:
        MirrorBroken: the roll-ups say less than what was removed.
    """
    people, days, events = _days_before(find, batch, known, grains)
    changes = batch.sums
    codes = np.concatenate([coded(people, days), changes.codes])
    # To sort all of it once takes a quarter of the time that numpy's sets and look-ups would.
    order = np.argsort(codes)
    codes = codes[order]
    starts = first_of_each(codes)
    known_events = np.concatenate([events, np.zeros_like(changes.events)])[order]
    all_events = np.concatenate([events, changes.events])[order]
    before, after = (sums_from(starts, each) for each in (known_events, all_events))
    _require_possible(before, after)
    return Days(batch, known, PersonDays(*decoded(codes[starts]), before), after)


def find_active_changes(
    find: FindDays, batch: Batch, known: Keys, grains: Sequence[str]
) -> pa.Table:
    """See `Days.active_changes`, and `find_days` for the errors."""
    return find_days(find, batch, known, grains).active_changes(grains)


def find_cohort_changes(
    find: FindDays, batch: Batch, known: Keys, grains: Sequence[str]
) -> pa.Table:
    """See `Days.cohort_changes`, and `find_days` for the errors."""
    return find_days(find, batch, known, grains).cohort_changes(grains)


def find_type_changes(batch: Batch) -> pa.Table:
    """By how many events of each type each local day changes; changes of 0 are absent."""
    projects, days, signs = (
        batch.events[name].to_numpy() for name in ("project_id", "day", "sign")
    )
    types = batch.events["event_type"].combine_chunks().dictionary_encode()
    (projects, days, numbers), events = _sums(signs, projects, days, types.indices.to_numpy())
    return pa.table(
        {
            "project_id": _int32(projects),
            "day": _int32(days),
            "event_type": types.dictionary.take(pa.array(numbers)),
            "events": events,
        }
    )


def find_changed(batch: Batch, known: Keys) -> pa.Table:
    """The events themselves, for raw columns, which need each one's instant."""
    return pa.table(
        {
            "project_id": batch.events["project_id"],
            "user_key": _int32(known.keys[batch.person_of_each]),
            "event_type": batch.events["event_type"],
            "us": batch.events["occurred_at"].cast(pa.int64()),
            "sign": batch.events["sign"],
        }
    )


def _days_before(
    find: FindDays, batch: Batch, known: Keys, grains: Sequence[str]
) -> tuple[Integers, Integers, Integers]:
    """Who had how many events on which day, as far as it matters; a day may come twice."""
    since, earliest = _since(batch, grains)
    unsettled = _unsettled(batch, known, earliest, grains)
    # Who has no key yet has no days.
    asked = np.flatnonzero(unsettled & (since != NEVER) & (known.keys >= 0))
    found, days, events = find(known.keys[asked], since[asked])
    settled = np.flatnonzero(~unsettled & (since != NEVER) & (since <= known.last_days))
    return (
        np.concatenate([asked[found], settled]),
        np.concatenate([days, known.last_days[settled]]),
        np.concatenate([events, np.ones_like(settled)]),
    )


def _unsettled(batch: Batch, known: Keys, earliest: Integers, grains: Sequence[str]) -> Flags:
    """Of whom the last day doesn't say enough.

    It does of people who only have new events, none in a period before that of the last day: what
    they had in these periods they had on that day. Such are nearly all while events come in.
    """
    unsettled = _removed(batch)
    for grain in grains:
        of_last, of_earliest = (
            periods(grain, days, batch.people.shifts) for days in (known.last_days, earliest)
        )
        unsettled |= of_earliest < of_last
    return unsettled


def _removed(batch: Batch) -> Flags:
    """Whose events became fewer on some day."""
    people, _, events = batch.sums
    removed = np.zeros(len(batch.people.names), np.bool_)
    removed[people[events < 0]] = True
    return removed


def _require_possible(before: Integers, after: Integers) -> None:
    if (before < 0).any() or (after < 0).any():
        raise MirrorBroken("more events were removed than the roll-ups hold", cause="mismatch")


def _moves(batch: Batch, known: Keys) -> Flags:
    """Whose first day may be another after the batch."""
    people, days, events = batch.sums
    earlier = days < known.first_days[people]
    removed = (days == known.first_days[people]) & (events < 0)
    moves = np.zeros(len(known.keys), np.bool_)
    moves[people[earlier | removed]] = True
    return moves


def _since(batch: Batch, grains: Sequence[str]) -> tuple[Integers, Integers]:
    """How far back to look, by person: the first day of all periods with a change; else NEVER.

    And the day of the first change.
    """
    people, days, _ = batch.sums
    starts = first_of_each(people)
    people, days = people[starts], days[starts]
    earliest = np.full(len(batch.people.names), NEVER, np.int64)
    earliest[people] = days
    since = earliest.copy()
    for grain in grains:
        of_days = periods(grain, days, batch.people.shifts[people])
        since[people] = np.minimum(since[people], of_days)
    return since, earliest


def _by_grain(grain: str, users: Integers, **columns: Integers) -> pa.Table:
    """Rows of the columns as integers, with the sum of `users` for each; sums of 0 are absent."""
    distinct, sums = _sums(users, *columns.values())
    names = dict(zip(columns, map(_int32, distinct), strict=True))
    rows = pa.table(names | {"users": sums})
    return rows.add_column(1, "grain", pa.repeat(pa.scalar(grain), len(rows)))


def _sums(values: Integers, *columns: Integers) -> tuple[list[Integers], Integers]:
    """The distinct rows of the columns, in order, with the sum of `values` for each; none of 0.

    Not Arrow's `group_by`: it is faster from some thousand rows on only, and a thread that is
    refused memory in it may wait there for ever, while a sync holds the keeper's turn.
    """
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    differs = np.full(len(order), fill_value=False)
    differs[:1] = True
    for column in ordered:
        differs[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(differs)
    sums = sums_from(starts, values[order])
    starts, sums = starts[sums != 0], sums[sums != 0]
    return [column[starts] for column in ordered], sums


def _int32(values: npt.NDArray[Any], mask: Flags | None = None) -> pa.Array:
    return pa.array(values.astype(np.int32), mask=mask)
