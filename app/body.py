"""Request bodies, read no faster than they are used and no further than they may go.

A body is read in memory (`whole_body`) or, by a thread, as a stream (`BodyStream`). While nobody
reads, uvicorn stops reading the socket, so the sender waits. A sender that keeps us waiting is cut
off: PROGRESS_BYTES, or the end, must arrive within the patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from analytics.errors import InvalidInput

PROGRESS_BYTES: Final = 64 << 10


class TooLarge(InvalidInput):
    """The body is larger than allowed."""

    code = "body_too_large"


class SlowBody(InvalidInput):
    """The body came too slowly; send it again, faster."""

    code = "body_too_slow"


class BrokenBody(InvalidInput):
    """The body broke off before its end."""

    code = "body_broken_off"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much of a body is read, and for how long.

    Attributes:
        max_bytes: How long it may be, as sent.
        setting: What that limit is called.
        patience: Seconds that PROGRESS_BYTES of it, or its rest, may take.
    """

    max_bytes: int
    setting: str
    patience: float


async def whole_body(request: Request, limits: BodyLimits) -> bytes:
    """The body, as sent.

    Raises:
        TooLarge: It is, or claims to be, longer than the limit.
        SlowBody, BrokenBody: Its sender is too slow, or went away.
    """
    reader = BodyReader(request, limits)
    pieces = []
    while piece := await reader.read():
        pieces.append(piece)
    return b"".join(pieces)


class BodyReader:
    """A body as the event loop reads it."""

    def __init__(self, request: Request, limits: BodyLimits) -> None:
        """Raises TooLarge if the body claims to be longer than the limit."""
        self._chunks: AsyncIterator[bytes] = aiter(request.stream())
        self._limits = limits
        self._size = 0
        claimed = request.headers.get("content-length", "")
        if claimed.isdigit() and int(claimed) > limits.max_bytes:
            raise self._too_large(int(claimed))

    async def read(self) -> bytes:
        """Some more of it, PROGRESS_BYTES at least unless the end comes first; b"" at the end.

        Raises:
            TooLarge, SlowBody, BrokenBody: See `whole_body`.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.patience):
                while size < PROGRESS_BYTES:
                    piece = await anext(self._chunks, None)
                    if piece is None:
                        break
                    pieces.append(piece)
                    size += len(piece)
                    if self._size + size > self._limits.max_bytes:
                        raise self._too_large(None)
        except TimeoutError as error:
            raise SlowBody(
                f"Of the body {self._size + size:,} bytes came, and then less than"
                f" {PROGRESS_BYTES:,} in {self._limits.patience:g} seconds (BODY_TIMEOUT); send it"
                " again, faster"
            ) from error
        except ClientDisconnect as error:
            raise BrokenBody(
                f"The body broke off after {self._size + size:,} bytes; send it again"
            ) from error
        self._size += size
        return b"".join(pieces)

    def _too_large(self, claimed: int | None) -> TooLarge:
        given = f"has {claimed:,} bytes" if claimed is not None else "goes on"
        return TooLarge(
            f"The body {given}; {self._limits.setting} allows {self._limits.max_bytes:,}"
            f" ({self._limits.max_bytes} bytes); send it in parts"
        )


class BodyStream:
    """A body as a file that a thread reads; the event loop must not."""

    def __init__(self, request: Request, limits: BodyLimits) -> None:
        """Raises TooLarge if the body claims to be longer than the limit."""
        self._reader = BodyReader(request, limits)
        self._loop = asyncio.get_running_loop()
        self._unread = memoryview(b"")
        self._pending: Future[bytes] | None = None
        self._closed = False

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, b"" at the end.

        Raises:
            TooLarge, SlowBody, BrokenBody: See `whole_body`. The last, too, once it is closed.
        """
        if not self._unread:
            self._unread = memoryview(self._next())
        piece = bytes(self._unread[:size])
        self._unread = self._unread[len(piece) :]
        return piece

    def close(self) -> None:
        """Ends a read that waits, so that the thread can end; from the event loop."""
        self._closed = True
        if self._pending is not None:
            self._pending.cancel()

    def _next(self) -> bytes:
        if self._closed:
            raise BrokenBody
        self._pending = asyncio.run_coroutine_threadsafe(self._reader.read(), self._loop)
        try:
            return self._pending.result()
        except CancelledError as error:
            raise BrokenBody from error
