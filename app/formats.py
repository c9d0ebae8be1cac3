"""An answer as an HTTP response: the plain list in the body, all else in headers."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Response

from analytics.answer import Answer


def answered(answer: Answer[Any]) -> Response:
    """The answer's data as JSON, and its meta as headers."""
    document, meta = answer.as_json(), answer.meta
    return Response(
        orjson.dumps(document["data"]),
        media_type="application/json",
        headers={
            "Tidemark-Engine": meta.engine,
            "Tidemark-Reason": meta.reason,
            "Tidemark-As-Of": meta.as_of.isoformat().replace("+00:00", "Z"),
            "Tidemark-Lag-Seconds": f"{meta.lag_seconds:g}",
            "Server-Timing": f"engine;dur={meta.elapsed_ms:.1f}",
            "Cache-Control": "no-store",
        },
    )
