"""What came and went, by number of person and local day.

Such numbers fit into one integer together, and to sort integers is what numpy does fastest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analytics.mirror.calendars import Calendar
from analytics.mirror.local_days import local_days
from analytics.mirror.periods import Integers, since_week_start
from analytics.mirror.users import People

# Days of dates lie within 2^23 of 1970.
_DAY_BITS: Final = 24
_DAY_ZERO: Final = 1 << (_DAY_BITS - 1)
_MOST_VALUES: Final = 2**63
_COLUMNS: Final = ("project_id", "user_id", "event_type", "occurred_at")


class PersonDays(NamedTuple):
    """A number of events for each of some people's days, in order of person and day."""

    people: Integers
    days: Integers
    events: Integers

    @property
    def codes(self) -> Integers:
        """One number for person and day, in the same order; see `decoded`."""
        return coded(self.people, self.days)


def coded(people: Integers, days: Integers) -> Integers:
    """A number for each pair, ordered as these are by person and day."""
    return people << _DAY_BITS | (days + _DAY_ZERO)


def decoded(codes: Integers) -> tuple[Integers, Integers]:
    """The people and days that `coded` was given."""
    return codes >> _DAY_BITS, (codes & ((1 << _DAY_BITS) - 1)) - _DAY_ZERO


def first_of_each(values: Integers) -> Integers:
    """Where in an ordered array another value begins."""
    return np.flatnonzero(np.diff(values, prepend=values[:1] - 1))


def order_of(columns: Sequence[npt.NDArray[np.int32]]) -> Integers:
    """How to take rows, of which there is at least one, to have them in order of these columns.

    By one number a row, if all columns fit into it: numpy sorts that four times as fast.
    """
    codes, values = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        least, most = int(column.min()), int(column.max())
        values *= most - least + 1
        if values > _MOST_VALUES:
            return np.lexsort(columns[::-1])
        codes = codes * (most - least + 1) + (column.astype(np.int64) - least)
    return np.argsort(codes)


@dataclass(frozen=True)
class Batch:
    """Events that came (sign 1) and went (sign -1), each with its local day.

    Attributes:
        events: project_id, occurred_at, day, sign; user_id and event_type, if they were given.
        calendars: of every project among them.
    """

    events: pa.Table
    calendars: Mapping[int, Calendar]

    @classmethod
    def of(cls, added: pa.Table, removed: pa.Table, calendars: Mapping[int, Calendar]) -> Self:
        """From events in one schema, with project_id, occurred_at and what is to be asked of it."""
        columns = [name for name in _COLUMNS if name in added.column_names] + ["day", "sign"]
        zones = {project: calendar.timezone for project, calendar in calendars.items()}
        parts = [
            with_days(events, zones)
            .append_column("sign", pa.array(np.full(len(events), sign, np.int64)))
            .select(columns)
            for events, sign in ((added, 1), (removed, -1))
        ]
        return cls(pa.concat_tables(parts).combine_chunks(), calendars)

    @property
    def person_of_each(self) -> Integers:
        """The person of each event."""
        return self._numbered[0]

    @property
    def people(self) -> People:
        """Everybody of whom there is an event."""
        return self._numbered[1]

    @cached_property
    def sums(self) -> PersonDays:
        """By how many events each person's days change; changes of 0 are absent."""
        came = self.events["sign"].to_numpy() > 0
        signed = np.sort(coded(self.person_of_each, self.events["day"].to_numpy()) << 1 | came)
        codes = signed >> 1
        starts = first_of_each(codes)
        sums = np.add.reduceat((signed & 1) * 2 - 1, starts) if len(starts) else codes
        return PersonDays(*decoded(codes[starts][sums != 0]), sums[sums != 0])

    @cached_property
    def _numbered(self) -> tuple[Integers, People]:
        encoded = self.events["user_id"].combine_chunks().dictionary_encode()
        owners = self.events["project_id"].to_numpy().astype(np.int64)
        numbers, names = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary
        if len(owners) and (owners == owners[0]).all():
            projects = np.full(len(names), owners[0], np.int64)
        else:
            distinct, numbers = np.unique(owners << 32 | numbers, return_inverse=True)
            projects, names = distinct >> 32, names.take(pa.array(distinct & 0xFFFFFFFF))
        return numbers, People(projects, names, self._shifts(projects))

    def _shifts(self, projects: Integers) -> Integers:
        shifts = np.zeros(len(projects), np.int64)
        for project, calendar in self.calendars.items():
            shifts[projects == project] = since_week_start(calendar.week_start)
        return shifts


def with_days(events: pa.Table, zones: Mapping[int, str]) -> pa.Table:
    """The events with a column `day`: the local day, as a number, in their project's zone."""
    projects = events["project_id"].to_numpy()
    us = events["occurred_at"].cast(pa.int64()).to_numpy()
    days = np.zeros(len(events), np.int64)
    for zone in set(zones.values()):
        of_zone = [project for project, name in zones.items() if name == zone]
        # All of them, mostly: to search is slower than to copy.
        chosen = np.isin(projects, of_zone) if len(of_zone) < len(zones) else slice(None)
        days[chosen] = local_days(zone, us[chosen])
    return events.append_column("day", pa.array(days.astype(np.int32)))
