"""Top events: which event types occurred most often within a range of local days.

An engine's compact answer has the columns (event_type, count): every type, or the right `limit` of
them. Rows of one type add up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, cast

from analytics.answer import Json
from analytics.errors import InvalidQuestion
from analytics.project import Project
from analytics.questions.day_range import DayRange
from analytics.questions.periods import day_parameters
from analytics.questions.question import Parameters, Value

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 1000


@dataclass(frozen=True)  # no slots: see Row
class EventCount:
    """An event type and how many events of it there were."""

    event_type: str
    count: int

    def as_json(self) -> Mapping[str, Json]:
        """`{"event_type": "login", "count": 34}`."""
        return {"event_type": self.event_type, "count": self.count}


@dataclass(frozen=True, slots=True)
class TopEvents:
    """Which event types were the most frequent on these days, in the project's time zone?

    Rows: at most `limit` of `EventCount`, by count from the largest, then by name in the order of
    code points.

    Raises:
        InvalidQuestion: `limit` is no whole number from 1 to 1000.
    """

    name: ClassVar[str] = "top_events"

    project: Project
    days: DayRange
    limit: int = DEFAULT_LIMIT

    def __post_init__(self) -> None:
        if type(self.limit) is not int or not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidQuestion(
                f"limit is {self.limit!r}; ask for 1 to {MAX_LIMIT} event types", field="limit"
            )

    def parameters(self) -> Mapping[str, Value]:
        """The project, the range as instants, and the limit."""
        known = {"project_id": self.project.id, "limit": self.limit}
        return Parameters(known, day_parameters(self.project, self.days))

    def rows(self, found: Iterable[Sequence[object]]) -> tuple[EventCount, ...]:
        """The event types in their order, from (event_type, count)."""
        counts: defaultdict[str, int] = defaultdict(int)
        for event_type, count in cast("Iterable[tuple[str, int]]", found):
            counts[event_type] += count
        ordered = sorted((-count, event_type) for event_type, count in counts.items() if count)
        return tuple(EventCount(event_type, -count) for count, event_type in ordered[: self.limit])
