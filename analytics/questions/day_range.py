"""Ranges of calendar days, and the days that may be asked about at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from analytics.calendar import FIRST_DAY, LAST_DAY
from analytics.errors import InvalidQuestion

# The longest fifty years there are: thirteen leap days.
MAX_DAYS: Final = 50 * 365 + 13


def check_day(field: str, day: date) -> None:
    """Refuse a day that is none, or so far away that its instants can't be counted on.

    Raises:
        InvalidQuestion: naming the field.
    """
    if type(day) is not date:  # a datetime is a date too, and would compare with none
        raise InvalidQuestion(
            f"{field} is {day!r}; give a calendar day like 2025-08-01", field=field
        )
    if not FIRST_DAY <= day <= LAST_DAY:
        raise InvalidQuestion(
            f"{field} is {day}; days from {FIRST_DAY} to {LAST_DAY} can be asked about", field=field
        )


@dataclass(frozen=True, slots=True)
class DayRange:
    """The calendar days from `first` to `last`, both included; messages call them from and to.

    Raises:
        InvalidQuestion: a day is out of reach, `last` comes before `first`, or the range is longer
            than fifty years.
    """

    first: date
    last: date

    def __post_init__(self) -> None:
        check_day("from", self.first)
        check_day("to", self.last)
        if self.last < self.first:
            raise InvalidQuestion(
                f"from is {self.first}, after to, {self.last}; give the earlier day as from",
                field="from",
            )
        if len(self) > MAX_DAYS:
            raise InvalidQuestion(
                f"from {self.first} to {self.last} are {len(self)} days; "
                f"ask for at most fifty years ({MAX_DAYS} days)",
                field="from",
            )

    def __len__(self) -> int:
        """How many days, at least one."""
        return (self.last - self.first).days + 1

    def __iter__(self) -> Iterator[date]:
        """The days in order."""
        return map(date.fromordinal, range(self.first.toordinal(), self.last.toordinal() + 1))
