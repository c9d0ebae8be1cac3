"""What came and went, by number of person and local day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Self

import numpy as np
import pyarrow as pa

from analytics.mirror.calendars import Calendar
from analytics.mirror.codes import coded, decoded, first_of_each, sums_from
from analytics.mirror.local_days import local_days
from analytics.mirror.periods import Integers, since_week_start
from analytics.mirror.users import People

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
        sums = sums_from(starts, (signed & 1) * 2 - 1)
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
