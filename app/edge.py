"""What holds of every answer, whichever route gives it.

Security headers; HEAD and OPTIONS; methods that HTTP doesn't know; bodies that are too long or too
slow for routes that don't read them in their own way; crashes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems
from app.body import SlowBody, TooLarge
from app.paths import Paths

SMALL_BODY: Final = 64 << 10
METHODS: Final = frozenset(map(str, HTTPMethod))
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS: Final = "max-age=31536000"
DOCUMENTATION: Final = "/docs"
# The page is FastAPI's: a script in it, and Swagger UI from its CDN.
_DOCUMENTATION_POLICY: Final = (
    "default-src 'none'; connect-src 'self'; img-src data: https://fastapi.tiangolo.com;"
    " script-src 'unsafe-inline' https://cdn.jsdelivr.net;"
    " style-src 'unsafe-inline' https://cdn.jsdelivr.net; frame-ancestors 'none'"
)


class Edge:
    """Security headers, and the methods that no route is written for."""

    def __init__(self, app: ASGIApp, *, paths: Paths) -> None:
        """Takes what is allowed where."""
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, headers = scope["method"], Headers(scope=scope)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), scope)
            if method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if method not in METHODS:
            # Here, so that nothing counts or routes by it.
            await problems.wrong_method(self._paths, method, scope["path"])(scope, receive, sent)
        elif method == "OPTIONS" and "access-control-request-method" not in headers:
            await self._options(scope)(scope, receive, sent)
        elif method == "HEAD":
            # The same headers as with GET need the same work.
            await self._app({**scope, "method": "GET"}, receive, sent)
        else:
            await self._app(scope, receive, sent)

    def _options(self, scope: Scope) -> Response:
        allowed = self._paths.methods(scope["path"])
        if not allowed:
            return problems.response_with(HTTPStatus.NOT_FOUND, "There is nothing at this path.")
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(allowed)})


@dataclass(frozen=True, slots=True)
class BodyGuard:
    """Bodies of all routes but those that read theirs themselves: short, and quick to arrive."""

    app: ASGIApp
    patience: float
    own_limits: str
    """The path of the routes with limits of their own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or scope["path"] == self.own_limits:
            await self.app(scope, receive, send)
            return
        claimed = Headers(scope=scope).get("content-length", "")
        if claimed.isdigit() and int(claimed) > SMALL_BODY:
            await problems.response_of(_too_large())(scope, receive, send)
            return
        await self.app(scope, self._guarded(receive), send)

    def _guarded(self, receive: Receive) -> Receive:
        size = 0
        ends = asyncio.get_running_loop().time() + self.patience
        whole = False

        async def guarded() -> Message:
            nonlocal size, whole
            if whole:  # what comes now is that the caller went away; that may take its time
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError as error:
                raise SlowBody(
                    f"Of the body {size:,} bytes came in {self.patience:g} seconds (BODY_TIMEOUT);"
                    " send it again, faster"
                ) from error
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > SMALL_BODY:
                raise _too_large()
            return message

        return guarded


def _too_large() -> TooLarge:
    return TooLarge(f"The body is longer than {SMALL_BODY:,} bytes, which is all that is read here")


class Crashes:
    """The innermost middleware: an error that nobody expected becomes an answer like any other.

    Here rather than in Starlette's outermost one, whose answers would pass none of the others.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Takes what may crash."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            if started:
                raise  # half of an answer can only be broken off
            response = await problems.crash(Request(scope, receive), error)
            await response(scope, receive, send)


def _add_headers(headers: MutableHeaders, scope: Scope) -> None:
    if scope["path"] == DOCUMENTATION:
        headers["Content-Security-Policy"] = _DOCUMENTATION_POLICY
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = HSTS
