"""What a body is announced as, by its Content-Type and Content-Encoding."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request

from app.problems import UnsupportedType
from app.schemas.events import Event
from ingest.rejects import shown
from ingest.sources.formats import (
    COMPRESSIONS,
    FORMATS,
    Announced,
    compression_of_encoding,
    format_of_media_type,
)

PROJECT_HEADER: Final = "Tidemark-Project"
JSON: Final = format_of_media_type("application/json")


def announced(request: Request) -> Announced:
    """The format and compression of a request's body.

    Raises:
        UnsupportedType: One of them is missing or unknown; the message lists those we take.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0]
    format_ = format_of_media_type(media_type)
    if format_ is None:
        given = f"is {shown(media_type)}" if media_type else "has no Content-Type"
        raise UnsupportedType(f"The body {given}; events are taken as {', '.join(media_types())}.")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    compression = compression_of_encoding(encoding)
    if compression is None and encoding != "identity":
        raise UnsupportedType(
            f"The body's Content-Encoding is {shown(encoding)}; bodies are taken plain or as"
            f" {' or '.join(encodings())}."
        )
    return Announced(format_, compression)


def media_types() -> list[str]:
    """Every Content-Type that events are taken in."""
    return [media_type for known in FORMATS for media_type in known.media_types]


def encodings() -> list[str]:
    """Every Content-Encoding that bodies are taken in."""
    return [known.content_encoding for known in COMPRESSIONS]


def request_body() -> dict[str, Any]:
    """The body of POST /events, as OpenAPI describes it."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    event = Event.model_json_schema()
    array = {"schema": {"anyOf": [{"type": "array", "items": event}, event]}}
    described = {
        media_type: array if known is JSON else binary
        for known in FORMATS
        for media_type in known.media_types
    }
    return {
        "required": True,
        "description": f"Events, plain or in one Content-Encoding of {', '.join(encodings())}.",
        "content": described,
    }
