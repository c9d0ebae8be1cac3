"""POST /events: events from applications."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app.dependencies import Held, Writer
from app.limits import json_body
from app.problems import declared
from app.schemas.events import Accepted, Event
from ingest.small import insert_events
from ingest.sources.jsons import read_json

BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": "array", "items": Event.model_json_schema()}}
    },
}

router = APIRouter(
    prefix="/events", tags=["events"], responses=declared(400, 401, 403, 413, 415, 422, 503)
)


@router.post("", openapi_extra={"requestBody": BODY})
async def post_events(caller: Writer, held: Held, request: Request) -> Accepted:
    """Take a JSON array of events, or one event.

    All are written, or, when one can't be taken, none. Sending the same events again is safe: an id
    that is here already is listed in `duplicates`, and of two equal ids in one request the first
    counts.
    """
    events = read_json(await json_body(request, held.settings.max_body_size))
    async with held.events.acquire() as connection:
        result = await insert_events(connection, caller.project.id, events)
    return Accepted(inserted=result.inserted, duplicates=result.duplicates)
