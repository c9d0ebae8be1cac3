"""How a file of events is to be read: which columns, whose calendar, and what of bad rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict

from analytics.calendar import WeekStart, zone
from analytics.duck import DuckLimits
from analytics.errors import InvalidInput
from analytics.events import COLUMNS


class OnReject(StrEnum):
    """ABORT: a file with a row that is no event isn't read. SKIP: such rows are left out."""

    ABORT = "abort"
    SKIP = "skip"


class Options(TypedDict, total=False):
    """The keywords that every `Analytics.from_...` takes; all may be left out.

    Attributes:
        columns: column of an event -> its name in the file, where the two differ.
        timezone: IANA name of the zone whose days and weeks are counted; UTC by default.
        week_start: "monday", the default, or "sunday".
        assume_timezone: IANA name of the zone of times that name none; without one such times are
            refused.
        on_reject: "abort", the default, or "skip": what to do about rows that are no events.
        limits: what DuckDB may use.
    """

    columns: Mapping[str, str]
    timezone: str
    week_start: str
    assume_timezone: str
    on_reject: str
    limits: DuckLimits


@dataclass(frozen=True, slots=True)
class Reading:
    """The same with their defaults, checked; see `Options`.

    Raises:
        InvalidInput: a column that no event has is mapped, or on_reject is neither word.
        UnknownZone: the pinned time zone data have no such zone.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    week_start: str = WeekStart.MONDAY.value
    assume_timezone: str | None = None
    on_reject: str = OnReject.ABORT.value
    # Events and counts of ten million rows fit, without spilling.
    limits: DuckLimits = field(default_factory=lambda: DuckLimits(memory_megabytes=2048))

    def __post_init__(self) -> None:
        unknown = [name for name in self.columns if name not in COLUMNS]
        if unknown:
            raise InvalidInput(
                f"{unknown[0]!r} is no column of an event; map {', '.join(COLUMNS[:-1])} to the "
                'file\'s own names, like columns={"user_id": "customer"}',
                field="columns",
            )
        if self.on_reject not in set(OnReject):
            raise InvalidInput(
                f"on_reject is {self.on_reject!r}; say {' or '.join(OnReject)}", field="on_reject"
            )
        for name in (self.timezone, self.assume_timezone):
            if name is not None:
                zone(name)
