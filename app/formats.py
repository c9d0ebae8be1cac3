"""An answer as an HTTP response: the plain list in the body, all else in headers."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Response

from analytics.answer import Answer, Meta
from analytics.questions.question import Question

# An answer is one caller's; it may be kept, but only used after asking whether it still holds.
CACHE = "private, no-cache"


def answered(question: Question[Any], answer: Answer[Any]) -> Response:
    """The answer's data as JSON, and its meta as headers.

    orjson writes rows as their own `as_json` says, without making dictionaries first.
    """
    return Response(
        orjson.dumps(answer.rows),
        media_type="application/json",
        headers=_headers(question, answer.meta),
    )


def unchanged(question: Question[Any], meta: Meta) -> Response:
    """304: the caller has the answer already."""
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_headers(question, meta))


def is_known(if_none_match: str, question: Question[Any], meta: Meta) -> bool:
    """Whether the header If-None-Match names the answer to the question at this version."""
    tag = _tag(question, meta)
    named = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return tag is not None and tag in named


def _headers(question: Question[Any], meta: Meta) -> dict[str, str]:
    headers = {
        "Tidemark-Engine": meta.engine,
        "Tidemark-Reason": meta.reason,
        "Tidemark-As-Of": meta.as_of.isoformat().replace("+00:00", "Z"),
        "Tidemark-Lag-Seconds": f"{meta.lag_seconds:g}",
        "Server-Timing": f"engine;dur={meta.elapsed_ms:.1f}",
        "Cache-Control": "no-store",
    }
    tag = _tag(question, meta)
    if tag is not None and meta.data_version is not None:
        headers["Tidemark-Data-Version"] = meta.data_version
        headers["ETag"] = tag
        headers["Cache-Control"] = CACHE
    return headers


def _tag(question: Question[Any], meta: Meta) -> str | None:
    """The same tag means the same body: same data, same question, same calendar, same day."""
    if meta.data_version is None:
        return None
    # The question's repr names the project with its zone and week_start, and the day it is asked.
    seen = f"{meta.data_version} {question!r}"
    return f'"{blake2b(seen.encode(), digest_size=16).hexdigest()}"'
