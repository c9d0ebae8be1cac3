"""Parameters and answers of /stats."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from analytics.calendar import parse_day
from analytics.engines.protocol import Freshness
from analytics.questions.retention import DEFAULT_WINDOW, MAX_WINDOW
from analytics.questions.top_events import DEFAULT_LIMIT, MAX_LIMIT
from app.schemas.examples import shown

_CELL: Final[dict[str, Any]] = {"week": 0, "active": 10, "percent": 100.0, "complete": True}

Day = Annotated[date, BeforeValidator(parse_day), Field(json_schema_extra={"format": "date"})]
EngineName = Annotated[
    str | None,
    Field(
        description="Ask this engine; by default Tidemark chooses.",
        examples=["mirror", "attached", "postgres"],
    ),
]


class EngineParameters(BaseModel):
    """Who is to answer, and how fresh: parameters of every question."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    # The route's caller is found by it (app.dependencies.Needs); here it is only let pass.
    project: int | None = Field(default=None, description="The same as the header X-Project.")
    engine: EngineName = None
    freshness: Freshness = Field(
        default=Freshness.EXACT,
        description="`exact` counts every event committed before the request. `mirror` doesn't "
        "look at Postgres and answers as of the last sync, which `Tidemark-As-Of` tells.",
    )


class DaysParameters(EngineParameters):
    """A range of whole days in the project's time zone, both ends included."""

    first: Day = Field(alias="from", description="First day, YYYY-MM-DD.", examples=["2024-06-01"])
    last: Day = Field(
        alias="to", description="Last day, included, YYYY-MM-DD.", examples=["2024-06-30"]
    )


class TopEventsParameters(DaysParameters):
    """The days, and how many event types to list."""

    limit: int = Field(default=DEFAULT_LIMIT, description=f"Event types to list, 1 to {MAX_LIMIT}.")


class RetentionParameters(EngineParameters):
    """The first cohort, and how many weeks to follow each."""

    start_date: Day = Field(
        description="Any day of the first cohort's week, YYYY-MM-DD.", examples=["2024-05-06"]
    )
    window: int = Field(
        default=DEFAULT_WINDOW,
        description=f"Weeks to show, the cohort's own included, 1 to {MAX_WINDOW}.",
    )


class DayUsers(BaseModel):
    """Distinct users of one local day."""

    model_config = shown({"day": "2025-08-01", "dau": 12})

    day: date
    dau: int


class EventCount(BaseModel):
    """How often one event type occurred."""

    model_config = shown({"event_type": "login", "count": 34})

    event_type: str
    count: int


class RetentionCell(BaseModel):
    """One week of a cohort; null while the week has not begun."""

    model_config = shown(_CELL)

    week: int = Field(description="0 is the cohort's own week.")
    active: int | None
    percent: float | None
    complete: bool = Field(description="Whether the week has ended.")


class Cohort(BaseModel):
    """Users whose first event ever fell into the week that begins on `cohort`."""

    model_config = shown({"cohort": "2025-08-04", "size": 10, "weeks": [_CELL]})

    cohort: date
    size: int
    weeks: list[RetentionCell]
