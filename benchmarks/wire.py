"""A small HTTP/1.1 client that costs less than the server it measures.

httpx would be the bottleneck: it takes about 0.4 ms of a core for a request, this about 0.05.
Requests are ready-made bytes, and of an answer only the status, the length and the body are looked
at. Keep-alive connections, one request at a time on each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_CLOSE = b"\r\nconnection: close\r\n"
_NOT_MODIFIED = b"304"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status and its body."""

    status: int
    body: bytes


@dataclass(slots=True)
class Load:
    """What came of many requests.

    Attributes:
        replies: Every answer, in the order of their arrival.
        latencies: Seconds of each, from the first byte sent to the last received.
        seconds: From the first request to the last answer.
    """

    replies: list[Reply] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        """The latency, in seconds, that `share` of the requests did not exceed."""
        return sorted(self.latencies)[
            min(int(len(self.latencies) * share), len(self.latencies) - 1)
        ]


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + _HEAD_END + body


def get(path: str, headers: dict[str, str]) -> bytes:
    """A GET as it goes over the wire."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + _HEAD_END


async def send_all(host: str, port: int, requests: Iterable[bytes], connections: int) -> Load:
    """Sends the requests over so many connections, each as soon as its last was answered."""
    load, waiting = Load(), iter(requests)
    began = time.perf_counter()
    await asyncio.gather(*(_send(host, port, waiting, load) for _ in range(connections)))
    load.seconds = time.perf_counter() - began
    return load


async def _send(host: str, port: int, waiting: Iterator[bytes], load: Load) -> None:
    connection = await Connection.opened(host, port)
    try:
        for content in waiting:
            began = time.perf_counter()
            load.replies.append(await connection.send(content))
            load.latencies.append(time.perf_counter() - began)
    finally:
        connection.close()


class Connection(asyncio.Protocol):
    """A connection that is kept, for one request at a time."""

    def __init__(self) -> None:
        """Takes nothing; `opened` makes one that is connected."""
        self.answers = 0
        self._last = False
        self._received = b""
        self._end = -1
        self._answer: asyncio.Future[Reply] | None = None

    @classmethod
    async def opened(cls, host: str, port: int) -> Connection:
        """A connection to there."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    @property
    def usable(self) -> bool:
        """Whether another request may go over it: the server has neither hung up nor said so."""
        return not self._last and not self._transport.is_closing()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, content: bytes) -> asyncio.Future[Reply]:
        """The answer to a request."""
        self._received, self._end = b"", -1
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        if self._end < 0:
            head = self._received.find(_HEAD_END)
            if head < 0:
                return
            self._end = head + len(_HEAD_END) + self._body_length()
        if len(self._received) >= self._end and self._answer is not None:
            head = self._received.index(_HEAD_END) + len(_HEAD_END)
            status = int(self._received[9:12])
            self._last = _CLOSE in self._received[:head].lower()
            self.answers += 1
            answer, self._answer = self._answer, None
            answer.set_result(Reply(status, self._received[head:]))

    def _body_length(self) -> int:
        if self._received[9:12] == _NOT_MODIFIED:  # has no body, and needn't say so
            return 0
        start = self._received.lower().index(_LENGTH) + len(_LENGTH)
        return int(self._received[start : self._received.index(b"\r", start)])

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server hung up"))
