"""One line for each request, and an id that all its other lines, and its answer, carry.

An X-Request-ID that a proxy or caller has given is kept, if it is short and plain; it is no
secret and need not be unique. Paths are logged as the route's, without what stands in for its
parameters, and never with their query: both may name people.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.paths import Paths

HEADER: Final = "X-Request-ID"
GONE: Final = 499
"""The status of a request whose caller went away before the answer; nginx's own."""
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: logged only where they fail."""
_USABLE: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,64}")
_LONGEST_PATH: Final = 100

log = logging.getLogger(__name__)


class RequestLog:
    """The outermost middleware: what it sees is what the caller got."""

    def __init__(self, app: ASGIApp, *, paths: Paths, lines: bool) -> None:
        """Takes whether to write the lines; ids are given in any case."""
        self._app = app
        self._paths = paths
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(Headers(scope=scope).get(HEADER))
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        status = GONE

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            if self._lines:
                self._write(scope, status, time.perf_counter() - began)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        path = self._paths.template(scope["path"]) or scope["path"][:_LONGEST_PATH]
        level = logging.DEBUG if path in QUIET and status < 400 else logging.INFO
        if not log.isEnabledFor(level):
            return
        client = scope.get("client")
        fields = {
            "method": scope["method"],
            "path": path,
            "status": status,
            "seconds": round(seconds, 4),
            "address": client[0] if client else None,
        }
        log.log(level, "request", extra=fields)


def note(**fields: object) -> None:
    """Adds fields to the request's line, and to all lines of it from here on."""
    bind_contextvars(**fields)


def _request_id(given: str | None) -> str:
    return given if given is not None and _USABLE.fullmatch(given) else uuid4().hex
