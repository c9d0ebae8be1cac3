"""Requests that come at a steady rate, whether those before were answered or not."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks import wire

MOST_CONNECTIONS: Final = 128
REQUESTS_A_CONNECTION: Final = 50
PATIENCE_SECONDS: Final = 20.0
_RANGE: Final = "/api/stats/dau?from=2025-08-01&to=2025-08-02"

Headers = Mapping[str, str]


@dataclass
class SteadyLoad:
    """Single events, and of sixteen requests three of the mirror as it is and one exact question.

    Each goes over the connection that was silent for longest; where all are busy, another is
    opened. A connection is closed when the server says so, and after some requests anyway.

    Attributes:
        taken: The ids of the events that were acknowledged.
        failures: What every other request came to.
        answered: When each answer had come, by the monotonic clock.
        latencies: Seconds from when a request was due to its answer.
    """

    port: int
    keys: Mapping[str, Headers]
    rate: float
    taken: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _idle: deque[wire.Connection] = field(default_factory=deque)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Requests come for the length of the block; at its end the last is answered."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def between(self, begin: float, end: float) -> int:
        """How many were answered in a time of the monotonic clock."""
        return sum(begin <= moment < end for moment in self.answered)

    @property
    def reached(self) -> float:
        """Requests answered a second, from the first answer to the last."""
        return (len(self.answered) - 1) / (self.answered[-1] - self.answered[0])

    def percentile(self, share: float) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * share)]

    async def _run(self) -> None:
        begin, number = time.monotonic(), 0
        slots = asyncio.Semaphore(MOST_CONNECTIONS)
        async with asyncio.TaskGroup() as group:
            while not self._over.is_set():
                due = begin + number / self.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await slots.acquire()
                group.create_task(self._ask(number, due)).add_done_callback(
                    lambda _: slots.release()
                )
                number += 1
        for connection in self._idle:
            connection.close()

    async def _ask(self, number: int, due: float) -> None:
        event_id, content = self._request(number)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                connection = await self._connection()
                reply = await connection.send(content)
        except (OSError, TimeoutError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        if connection.usable and connection.answers < REQUESTS_A_CONNECTION:
            self._idle.append(connection)
        else:
            connection.close()
        if reply.status >= 300:
            self.failures.append(f"{reply.status} {reply.body!r}")
            return
        self.answered.append(time.monotonic())
        self.latencies.append(self.answered[-1] - due)
        if event_id:
            self.taken.append(event_id)

    async def _connection(self) -> wire.Connection:
        while self._idle:
            connection = self._idle.popleft()
            if connection.usable:
                return connection
        return await wire.Connection.opened("127.0.0.1", self.port)

    def _request(self, number: int) -> tuple[str | None, bytes]:
        """A request as it goes over the wire, and the id of the event in it."""
        if number % 4 == 3:
            fresh = "exact" if number % 16 == 3 else "mirror"
            return None, wire.get(f"{_RANGE}&freshness={fresh}", dict(self.keys["read"]))
        event = {
            "event_id": str(uuid.uuid4()),
            "occurred_at": "2025-08-01T10:00:00Z",
            "user_id": "ann",
            "event_type": "look",
        }
        headers = {**self.keys["ingest"], "Content-Type": "application/json"}
        body = json.dumps([event]).encode()
        return event["event_id"], wire.request("/api/events", body, headers)
