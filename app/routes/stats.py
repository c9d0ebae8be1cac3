"""GET /stats: the questions over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from analytics.calendar import local_date
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from app.dependencies import Asker
from app.problems import declared
from app.schemas import stats as schemas

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Nothing that the question could see has changed (If-None-Match)."}
}

router = APIRouter(
    prefix="/stats", tags=["stats"], responses=NOT_MODIFIED | declared(401, 403, 404, 422, 429, 503)
)


@router.get("/dau", response_model=list[schemas.DayUsers])
async def dau(asker: Asker, query: Annotated[schemas.DaysParameters, Query()]) -> Response:
    """Distinct users of each day, days without events included."""
    question = Dau(asker.project, DayRange(query.first, query.last))
    return await asker.answer(question, query)


@router.get("/top-events", response_model=list[schemas.EventCount])
async def top_events(
    asker: Asker, query: Annotated[schemas.TopEventsParameters, Query()]
) -> Response:
    """The most frequent event types, most frequent first, ties by name."""
    question = TopEvents(asker.project, DayRange(query.first, query.last), query.limit)
    return await asker.answer(question, query)


@router.get("/retention", response_model=list[schemas.Cohort])
@router.get("/cohort", response_model=list[schemas.Cohort], summary="The same as /stats/retention")
async def retention(
    asker: Asker, query: Annotated[schemas.RetentionParameters, Query()]
) -> Response:
    """Weekly retention: of the users first seen in a week, how many came back later."""
    today = local_date(asker.project.timezone, datetime.now(UTC))
    question = Retention(asker.project, query.start_date, today, query.window)
    return await asker.answer(question, query)
