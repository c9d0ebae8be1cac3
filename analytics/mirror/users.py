"""Whoever events are of: by name, by key in the file, and a dictionary from one to the other.

To find some thousands of names in the file takes a pass over all of them, a third of what an exact
answer costs while events come in. In memory they are found by binary search. A sync reads the
file's dictionary once, and from then on adds what each of its commits changes.

Why not a dict: to look up 8,000 of 400,000 names takes it 6 to 9 ms, most of it spent waiting for
memory, for one name after the other, with Python's lock held. And it takes four times the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analytics.mirror.periods import Flags, Integers
from analytics.mirror.user_days import UserDays

# A day behind all days, and one before them.
NEVER: Final = 2**31 - 1
BEFORE: Final = -(2**31)

MOST_BYTES: Final = 64 * 1024 * 1024
"""Users who would take more in memory are looked up in the file: more than some 1.6 million."""

BYTES_A_USER: Final = 28
"""What each takes beside the bytes of the name."""

LEAST_RECENT, RECENT_SHARE = 20_000, 0.125
"""So many newcomers are kept apart, and such a share of all, before they are sorted in."""

Hashes: TypeAlias = npt.NDArray[np.uint64]
Numbers: TypeAlias = npt.NDArray[np.int32]

_COLUMNS: Final = ("project_id", "user_key", "first_day", "last_day")
_PROJECT, _KEY, _FIRST_DAY, _LAST_DAY = range(len(_COLUMNS))
_GONE: Final = -1
# By place in the name; longer names use them again. Drawn anew in each process: nobody can choose
# names that meet in one hash.
_WEIGHTS: Final = np.random.default_rng().integers(0, 2**64, 1024, np.uint64)
# Each byte takes 40 on the way to a hash.
_NAMES_AT_ONCE: Final = 4_096
_PROJECT_WEIGHT: Final = np.uint64(0x9E3779B97F4A7C15)


class People(NamedTuple):
    """Whoever the events of a batch are of, by number from 0.

    Attributes:
        projects, names: who that is.
        shifts: what `periods.since_week_start` says of the project's weeks.
    """

    projects: Integers
    names: pa.Array
    shifts: Integers


class Keys(NamedTuple):
    """Who a batch's people are in the file, by number.

    Attributes:
        keys: of users; of somebody whom the dictionary lacks a negative one, for this batch only.
        first_days: the first day with an event, or NEVER.
        last_days: the last one, or BEFORE; NEVER where only `user_days` says it.
    """

    keys: Integers
    first_days: Integers
    last_days: Integers

    def of(self, chosen: Flags) -> Keys:
        """Some of them."""
        return Keys(*(each[chosen] for each in self))


class Applied(NamedTuple):
    """What a sync made of people.

    Attributes:
        people: all of whom an event came or went.
        was, now: who they were in the file, and who they are. Who has no first day any more left.
        user_days: by how many events their days changed, as `UserDays.with_added` takes it.
    """

    people: People
    was: Keys
    now: Keys
    user_days: pa.Table


def strangers(number: int) -> Keys:
    """So many people whom the file doesn't know."""
    first_days, last_days = (np.full(number, day, np.int64) for day in (NEVER, BEFORE))
    return Keys(-1 - np.arange(number, dtype=np.int64), first_days, last_days)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some users in order of their hashes. Nothing in it is ever changed: threads share it.

    Attributes:
        hashes: see `_hashed`.
        names: as in People.
        numbers: of each its project, and what Keys says: see _COLUMNS. Who left has the key _GONE.
    """

    hashes: Hashes
    names: pa.Array
    numbers: Numbers

    @classmethod
    def of(cls, projects: npt.NDArray[Any], names: pa.Array, keys: Keys) -> Self:
        """These users."""
        numbers = np.column_stack((projects, *keys)).astype(np.int32, copy=False)
        return cls._in_order(_hashed(projects, names), names, numbers)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All users of these parts who are in the file."""
        return cls._in_order(
            np.concatenate([part.hashes for part in parts]),
            pa.concat_arrays([part.names for part in parts]),
            np.concatenate([part.numbers for part in parts]),
        )

    @classmethod
    def _in_order(cls, hashes: Hashes, names: pa.Array, numbers: Numbers) -> Self:
        # Of what is in order in parts already, a stable sort only merges these.
        order = np.argsort(hashes, kind="stable")
        order = order[numbers[order, _KEY] != _GONE]
        return cls(hashes[order], names.take(pa.array(order)), numbers[order])

    def __len__(self) -> int:
        """How many users."""
        return len(self.hashes)

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return int(self.hashes.nbytes + self.names.nbytes + self.numbers.nbytes)

    def find(self, hashes: Hashes, people: People) -> Integers:
        """The place of each of these people, who have these hashes; -1 for who isn't here."""
        found = np.full(len(hashes), -1, np.int64)
        # In order, one search finds in the cache what the one before has brought there.
        who = np.argsort(hashes)
        hashes = hashes[who]
        at = np.searchsorted(self.hashes, hashes)
        left = np.flatnonzero(at < len(self))
        while len(left := left[self.hashes[at[left]] == hashes[left]]):
            here, asked = at[left], who[left]
            numbers = self.numbers[here]
            same = (numbers[:, _KEY] != _GONE) & (numbers[:, _PROJECT] == people.projects[asked])
            same &= _equal(self.names.take(pa.array(here)), people.names.take(pa.array(asked)))
            found[asked[same]] = here[same]
            # Another with the same hash, or who left and came again, comes next.
            left = left[~same]
            at[left] += 1
            left = left[at[left] < len(self)]
        return found

    def changed(self, hashes: Hashes, people: People, now: Keys) -> Self:
        """The same with other days of those of the people who are here; NEVER: who left."""
        at = self.find(hashes, people)
        here = at >= 0
        if not here.any():
            return self
        numbers = self.numbers.copy()
        numbers[at[here], _FIRST_DAY] = now.first_days[here]
        numbers[at[here], _LAST_DAY] = now.last_days[here]
        numbers[at[here & (now.first_days == NEVER)], _KEY] = _GONE
        return replace(self, numbers=numbers)


@dataclass(frozen=True, slots=True)
class _Version:
    """Everybody in the file with this token: most of them, who came lately, and their days."""

    token: UUID
    most: _Part
    recent: _Part
    days: UserDays | None


class Users:
    """The file's dictionary in memory. Shared between threads, of which one syncs at a time.

    It is as of one token, and every sync that commits puts another one in its place: who sees the
    file in another state learns nothing here, and asks the file.
    """

    def __init__(self) -> None:
        """Nobody is known, of no state."""
        self._version: _Version | None = None
        self._given_up = False

    def find(self, token: UUID, people: People) -> Keys | None:
        """Who these people are in the file with this token; None if that isn't known here."""
        version = self._version
        if version is None or version.token != token:
            return None
        hashes = _hashed(people.projects, people.names)
        found = strangers(len(hashes))
        for part in (version.most, version.recent):
            at = part.find(hashes, people)
            here = at >= 0
            numbers = part.numbers[at[here]]
            for values, column in zip(found, (_KEY, _FIRST_DAY, _LAST_DAY), strict=True):
                values[here] = numbers[:, column]
        return found

    def days(self, token: UUID) -> UserDays | None:
        """Which days the users of the file with this token had; None if that isn't known here."""
        version = self._version
        return version.days if version and version.token == token else None

    def wants(self, token: UUID) -> bool:
        """Whether it would have to be filled to know the file with this token."""
        return not self._given_up and (self._version is None or self._version.token != token)

    def has_room_for(self, number: int) -> bool:
        """Whether so many users may be kept, as long as nothing is known of their names."""
        return number * BYTES_A_USER <= MOST_BYTES

    def give_up(self) -> None:
        """Know nobody from now on: a file's users hardly ever become fewer."""
        self._given_up, self._version = True, None

    def fill(
        self, token: UUID, everybody: Iterable[pa.RecordBatch], user_days: UserDays | None
    ) -> None:
        """Take the whole dictionary of the file with this token, unless it is too large.

        It comes as `sync/everybody.sql` says, and with the days of all, if these fit.
        """
        parts = [_NOBODY]
        size = 0
        for rows in everybody:
            projects, *numbers = (rows[name].to_numpy() for name in _COLUMNS)
            parts.append(_Part.of(projects, rows["user_id"], Keys(*numbers)))
            size += parts[-1].bytes
            if size > MOST_BYTES:
                self.give_up()
                return
        self._version = _Version(token, _Part.joined(parts), _NOBODY, user_days)

    def advance(self, before: UUID, after: UUID, applied: Applied) -> None:
        """A sync put one token in place of another, and this into the file."""
        people, was, now, user_days = applied
        version = self._version
        if version is None or version.token != before:
            return
        most, recent = version.most, version.recent
        came = was.keys < 0
        changed = (was.first_days != now.first_days) | (was.last_days != now.last_days)
        changed &= ~came
        if changed.any():
            some = _chosen(people, changed)
            hashes = _hashed(some.projects, some.names)
            most, recent = (each.changed(hashes, some, now.of(changed)) for each in (most, recent))
        if came.any():
            newcomers = _chosen(people, came)
            there = _Part.of(newcomers.projects, newcomers.names, now.of(came))
            recent = _Part.joined([recent, there])
        if len(recent) > max(LEAST_RECENT, RECENT_SHARE * len(most)):
            most, recent = _Part.joined([most, recent]), _NOBODY
        days = version.days and version.days.with_added(user_days)
        if days and not UserDays.fits(days.rows):
            days = None
        self._version = _Version(after, most, recent, days)
        if most.bytes + recent.bytes > MOST_BYTES:
            self.give_up()


def _hashed(projects: npt.NDArray[Any], names: pa.Array) -> Hashes:
    """One number for each project and name."""
    hashes = projects.astype(np.uint64) * _PROJECT_WEIGHT
    for start in range(0, len(names), _NAMES_AT_ONCE):
        hashes[start : start + _NAMES_AT_ONCE] += _sums(names.slice(start, _NAMES_AT_ONCE))
    return hashes


def _sums(names: pa.Array) -> Hashes:
    """The sum of each one's bytes by the weights of their places."""
    _, offsets, data = names.buffers()
    ends = np.frombuffer(offsets, np.int32)[names.offset : names.offset + len(names) + 1]
    ends = ends.astype(np.int64)
    bytes_ = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]].astype(np.uint64)
    ends -= ends[0]
    places = np.arange(len(bytes_)) - np.repeat(ends[:-1], np.diff(ends))
    weighed = bytes_ * _WEIGHTS[places & (len(_WEIGHTS) - 1)]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weighed)])
    of_names: Hashes = sums[ends[1:]] - sums[ends[:-1]]
    return of_names


def _chosen(people: People, chosen: Flags) -> People:
    names = people.names.filter(pa.array(chosen))
    return People(people.projects[chosen], names, people.shifts[chosen])


def _equal(names: pa.Array, others: pa.Array) -> Flags:
    same: Flags = pc.equal(names, others).to_numpy(zero_copy_only=False)
    return same


# Of nulls, for an array of anything else would import pandas, which nobody who imports this needs.
_NOBODY: Final = _Part(
    np.empty(0, np.uint64), pa.nulls(0, pa.string()), np.empty((0, len(_COLUMNS)), np.int32)
)
