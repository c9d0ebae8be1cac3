"""What a question needs to know of a project: whose events, and whose calendar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analytics.calendar import WeekStart, zone
from analytics.errors import InvalidQuestion
from analytics.events import ProjectId

# The column is a Postgres integer.
LARGEST_ID: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Project:
    """A project: its events, and the calendar its days and weeks follow.

    Attributes:
        id: the number its events carry.
        name: what people call it.
        timezone: IANA name of the zone whose days are counted.
        week_start: the weekday its weeks begin on; the plain word is taken too.

    Raises:
        InvalidQuestion: the id is no positive 32-bit integer, or week_start neither monday nor
            sunday.
        UnknownZone: the pinned time zone data have no such zone.
    """

    id: ProjectId
    name: str
    timezone: str = "UTC"
    week_start: WeekStart = WeekStart.MONDAY

    def __post_init__(self) -> None:
        if type(self.id) is not int or not 1 <= self.id <= LARGEST_ID:
            raise InvalidQuestion(
                f"project id {self.id!r} is not one; ids are whole numbers from 1 to {LARGEST_ID}",
                field="project_id",
            )
        zone(self.timezone)
        if self.week_start not in set(WeekStart):
            raise InvalidQuestion(
                f"week_start is {self.week_start!r}; weeks start on {' or '.join(WeekStart)}",
                field="week_start",
            )
        object.__setattr__(self, "week_start", WeekStart(self.week_start))
