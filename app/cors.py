"""CORS: which websites' scripts may read the API's answers.

Callers show a key or token that their script holds, never a cookie, so `*` gives away nothing that
the script doesn't have. It would with CORS_CREDENTIALS, where Starlette answers `*` by whatever
origin asks: then `*` and `null` are left out.
"""

from __future__ import annotations

import logging
from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.origins import ANY, NULL
from app.request_log import HEADER as REQUEST_ID

ASKED: Final = ("Authorization", "Content-Encoding", "Content-Type", "If-None-Match", "X-Project")
TOLD: Final = (
    "ETag",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "Tidemark-As-Of",
    "Tidemark-Data-Version",
    "Tidemark-Engine",
    "Tidemark-Lag-Seconds",
    "Tidemark-Project",
    "Tidemark-Reason",
)

log = logging.getLogger(__name__)


def add_cors(app: FastAPI, origins: tuple[str, ...], *, credentials: bool) -> None:
    """Lets scripts of these origins in; without origins browsers keep all of them out."""
    safe = tuple(each for each in origins if not (credentials and each in {ANY, NULL}))
    if safe != origins:
        left_out = " and ".join(each for each in origins if each not in safe)
        log.warning(
            "cors.left_out",
            extra={"origins": left_out, "why": "CORS_CREDENTIALS is on; name each origin"},
        )
    if safe:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=safe,
            allow_credentials=credentials,
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=(*ASKED, REQUEST_ID),
            expose_headers=(*TOLD, REQUEST_ID),
        )
