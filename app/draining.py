"""A stop that costs no request: those under way are finished, and connections close between two.

An idle connection that is just closed may have a request on its way already, which is then lost. So
a server that stops says `Connection: close` in each further answer, and only then closes what still
asks nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analytics.errors import Transient
from app import problems

IDLE_SECONDS: Final = 2.0
"""How long a connection may ask nothing before a stopping server closes it."""
REQUEST_SECONDS: Final = 10
"""How long requests under way may then take; what takes longer is broken off and rolled back."""
_LOOK_SECONDS: Final = 0.02


class Drain:
    """Whether this process is about to stop."""

    def __init__(self) -> None:
        self.stopping = False


class Stopping(Transient):
    """The server stops, and what was asked took too long; ask again, sending again is safe."""

    code = "stopping"


class Closing:
    """Says in the answers of a stopping process that their connections end with them.

    What is cancelled in the end, Postgres hangs say, is answered as well.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        """Takes what says when."""
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self._drain.stopping:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except asyncio.CancelledError:
            if started or not self._drain.stopping or scope["type"] != "http":
                raise
            await problems.response_of(Stopping())(scope, receive, sent)


class DrainingServer(uvicorn.Server):
    """Uvicorn's server with such a stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        *,
        notice: timedelta = timedelta(0),
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes how long connections are taken after a stop; calls `ready` once they are."""
        super().__init__(config)
        self._drain = drain
        self._notice = notice.total_seconds()
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens what the app needs, then takes connections."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets callers go one by one, then stops for good."""
        self._drain.stopping = True
        await self._wait(self._notice, until=lambda: False)
        for server in self.servers:
            server.close()
        await self._wait(IDLE_SECONDS, until=lambda: not self.server_state.connections)
        await super().shutdown(sockets)

    async def _wait(self, seconds: float, *, until: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not self.force_exit and not until():  # noqa: ASYNC110 - uvicorn's
            await asyncio.sleep(_LOOK_SECONDS)
