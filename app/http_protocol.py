"""HTTP/1.1 as uvicorn speaks it, with an end to what a peer may make it hold or wait for.

uvicorn has no limit on a request's head, neither in bytes nor in time, and none on how long an
answer may take to be read.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle, Transport
from typing import Any, Final

import orjson
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.settings import Settings

MAX_HEAD_BYTES: Final = 32 << 10
"""Request line and headers together; proxies usually stop at 8 to 32 KiB."""
MAX_HEADERS: Final = 100
HEAD_SECONDS: Final = 10.0
"""From the connection, or the first byte of a further request, to the end of its head."""
READ_SECONDS: Final = 30.0
"""How long the peer may read nothing of an answer that waits for it."""

_HEAD: Final = (
    b"HTTP/1.1 %d %s\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
    b"connection: close\r\n\r\n"
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """A connection."""

    def __init__(self, *given: Any, **named: Any) -> None:
        """Takes what uvicorn gives."""
        super().__init__(*given, **named)
        self._head_size = 0
        self._in_head = True
        self._refused = False
        self._head_timer: TimerHandle | None = None
        self._read_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Gives the first request's head its time."""
        super().connection_made(transport)
        self._joined = _Joined(transport, self.loop)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timers."""
        _cancel(self._head_timer)
        _cancel(self._read_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head that has not ended yet."""
        if self._refused:
            return
        super().data_received(data)
        if self._in_head and not self._refused:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD_BYTES:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """A further request begins."""
        super().on_message_begin()
        self._head_size = 0
        self._in_head = True
        self._await_head()

    def on_headers_complete(self) -> None:
        """The head has ended: too large, or on to the app."""
        self._in_head = False
        _cancel(self._head_timer)
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse_head()
        if not self._refused:
            super().on_headers_complete()
            if self.scope["method"] != "HEAD":
                self.cycle.transport = self._joined

    def on_body(self, body: bytes) -> None:
        """Nobody reads the body of what was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The same."""
        if not self._refused:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The peer doesn't read: it gets some time to."""
        super().pause_writing()
        self._read_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        _cancel(self._read_timer)

    def _await_head(self) -> None:
        _cancel(self._head_timer)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def _head_late(self) -> None:
        if self._head_size:
            detail = f"The head of the request did not end within {HEAD_SECONDS:g} seconds"
            self._refuse(408, b"Request Timeout", "request_timeout", detail)
        else:
            self.transport.close()  # nothing was asked

    def _refuse_head(self) -> None:
        detail = (
            f"The head of the request is larger than {MAX_HEAD_BYTES:,} bytes or has more than"
            f" {MAX_HEADERS} headers"
        )
        title = b"Request Header Fields Too Large"
        self._refuse(431, title, "request_header_fields_too_large", detail)

    def _refuse(self, status: int, title: bytes, code: str, detail: str) -> None:
        """Answers for the app, which hears nothing of it, and hangs up."""
        self._refused = True
        problem = {
            "type": f"urn:tidemark:problem:{code}",
            "title": title.decode(),
            "status": status,
            "detail": detail,
            "code": code,
        }
        body = orjson.dumps(problem)
        self.transport.write(_HEAD % (status, title, len(body)) + body)
        self.transport.close()


class _Joined(Transport):
    """A transport for the answers of a connection, whose head goes out with the body behind it.

    uvicorn writes them one after the other, and each write costs both sides a system call and wakes
    the peer up.
    """

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._held: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write it behind what is held, or hold it if nothing is, for the rest of this turn."""
        self._held.append(data)
        if len(self._held) == 1:
            self._loop.call_soon(self._flush)
        else:
            self._flush()

    def close(self) -> None:
        """Close the connection behind what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))


def uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the app, everywhere."""
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_graceful_shutdown=10,
    )


def _cancel(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
