"""How many events each user had on each local day, in memory beside the file.

To find the days of a hundred users in the file takes a pass over those of all, two thirds of what
an exact answer costs with as many removed events. In memory they are found by binary search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
import pyarrow as pa

from analytics.mirror.codes import behind_all_days, coded, decoded, first_of_each, sums_from
from analytics.mirror.periods import Integers

MOST_BYTES: Final = 128 * 1024 * 1024
"""Days that would take more in memory are looked up in the file: more than some 8 million."""

BYTES_A_ROW: Final = 16

# A run that is at most so many times as long as the one behind it is joined with it.
_RATIO: Final = 2


class DaysOfUsers(NamedTuple):
    """Numbers of events on days of some users; a day may come more than once, to be summed.

    Attributes:
        users: which of those asked about, by place.
        days: days since 1970-01-01.
        events: how many, or by how many more or less.
    """

    users: Integers
    days: Integers
    events: Integers


class _Run(NamedTuple):
    """Numbers of events in order of user and day, each at most once and none of them 0."""

    codes: Integers
    events: Integers

    @classmethod
    def of(cls, rows: pa.Table | pa.RecordBatch) -> Self:
        """The sums of what (user_key, day, events) say, in any order."""
        keys, days, events = (
            rows[name].to_numpy().astype(np.int64, copy=False)
            for name in ("user_key", "day", "events")
        )
        codes = coded(keys, days)
        order = np.argsort(codes)
        codes = codes[order]
        starts = first_of_each(codes)
        return cls.of_sums(codes[starts], sums_from(starts, events[order]))

    @classmethod
    def of_sums(cls, codes: Integers, events: Integers) -> Self:
        """These rows but those with 0 events."""
        kept = events != 0
        return cls(codes, events) if kept.all() else cls(codes[kept], events[kept])

    def plus(self, other: Self) -> Self:
        """Both in one, the other being the shorter: by one pass, as both are in order."""
        at = np.searchsorted(self.codes, other.codes)
        same = at < len(self.codes)
        same[same] = self.codes[at[same]] == other.codes[same]
        events = self.events.copy()
        events[at[same]] += other.events[same]
        at, codes, more = (each[~same] for each in (at, *other))
        return self.of_sums(np.insert(self.codes, at, codes), np.insert(events, at, more))

    def between(self, firsts: Integers, ends: Integers) -> DaysOfUsers:
        """The rows from each of the first codes up to each of the last, which are left out."""
        start, end = np.searchsorted(self.codes, firsts), np.searchsorted(self.codes, ends)
        numbers = end - start
        users = np.repeat(np.arange(len(numbers)), numbers)
        at = np.arange(len(users)) + np.repeat(start - (np.cumsum(numbers) - numbers), numbers)
        _, days = decoded(self.codes[at])
        return DaysOfUsers(users, days, self.events[at])


@dataclass(frozen=True, slots=True)
class UserDays:
    """The days of all users. Nothing in it is ever changed: threads share it.

    What a sync adds is a run of its own at first, and joined with the one before unless that is
    much longer. So there are few, and the long ones are seldom written again. The number of events
    of a day is the sum of what the runs say.
    """

    runs: tuple[_Run, ...] = (_Run(np.empty(0, np.int64), np.empty(0, np.int64)),)

    @staticmethod
    def fits(rows: int) -> bool:
        """Whether so many may be kept."""
        return rows * BYTES_A_ROW <= MOST_BYTES

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(len(run.codes) for run in self.runs)

    def with_added(self, rows: pa.Table | pa.RecordBatch) -> Self:
        """The same with as many more or fewer events as (user_key, day, events) say."""
        *runs, last = *self.runs, _Run.of(rows)
        while runs and len(runs[-1].codes) <= _RATIO * len(last.codes):
            shorter, longer = sorted((last, runs.pop()), key=lambda run: len(run.codes))
            last = longer.plus(shorter)
        return type(self)((*runs, last))

    def find(self, keys: Integers, since: Integers) -> DaysOfUsers:
        """The days of the users with these keys, of each from that of `since` on."""
        # In order, one search finds in the cache what the one before has brought there.
        order = np.argsort(keys)
        firsts, ends = coded(keys[order], since[order]), behind_all_days(keys[order])
        found = [run.between(firsts, ends) for run in self.runs]
        users, days, events = map(np.concatenate, zip(*found, strict=True))
        return DaysOfUsers(order[users], days, events)
