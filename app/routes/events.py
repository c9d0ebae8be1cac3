"""POST /events: events from applications, and files of them."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from app.dependencies import Held, Sender
from app.media import PROJECT_HEADER, request_body
from app.problems import declared
from app.schemas.events import Accepted, Loaded
from ingest.policy import OnReject

router = APIRouter(
    prefix="/events",
    tags=["events"],
    responses=declared(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
)


@router.post("", openapi_extra={"requestBody": request_body()}, response_model=Accepted | Loaded)
async def post_events(
    caller: Sender,
    held: Held,
    request: Request,
    on_reject: Annotated[
        OnReject,
        Query(description="abort: one bad event keeps all out. skip: the others are written."),
    ] = OnReject.ABORT,
) -> Response:
    """Take events in any of the formats: JSON is answered id by id, the others by counts.

    Up to 100,000 events are one transaction; larger bodies are committed batch by batch, with
    on_reject=abort once all of them are known to be good. Sending the same events again is safe: an
    id that is here already is a duplicate, and of two equal ids in one request the first counts.
    """
    answer = await held.intake.take(caller, request, on_reject)
    return Response(
        orjson.dumps(answer),
        media_type="application/json",
        headers={PROJECT_HEADER: str(caller.project.id)},
    )
