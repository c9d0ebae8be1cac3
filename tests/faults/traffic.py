"""Senders and askers that go on through a fault, and what must be true of what they were told.

A sender does as SDKs do: what wasn't acknowledged is sent again, with the same ids. So in the end
everything that was sent is acknowledged, and must be there once. An asker knows at each answer how
many events must be in it at least (acknowledged before it asked) and at most (sent before it was
told), whichever engine answers.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tests.faults.service import Reply, Service

RANGE: Final = "from=2025-06-01&to=2025-08-31"
QUESTIONS: Final = (
    f"/api/stats/dau?{RANGE}",
    f"/api/stats/top-events?{RANGE}",
    "/api/stats/retention?start_date=2025-06-01&window=12",
)
TOTAL: Final = QUESTIONS[1]
LONGEST_SECONDS: Final = 60.0
"""How long anything may take to go well again where much else is to be done; 10 are promised."""

_BEGINNING: Final = datetime.fromisoformat("2025-06-01T00:00:00+00:00")
_TYPES: Final = ("look", "buy", "leave")
SENDERS: Final = 4
PATIENCE_SECONDS: Final = 20.0
"""How long each waits for an answer."""


def events(first: int, count: int) -> list[dict[str, str]]:
    """Events of many days and users; each has an id that nothing else has."""
    return [
        {
            "event_id": str(uuid.uuid4()),
            "occurred_at": (_BEGINNING + timedelta(minutes=37 * number % 120_000)).isoformat(),
            "user_id": f"user {number % 211}",
            "event_type": _TYPES[number % 3],
        }
        for number in range(first, first + count)
    ]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from the moment that the part was back to the first that went well again."""

    fault: str
    events: float
    answers: float
    mirror: float


@dataclass
class _Good:
    """When what went well was begun, of one kind."""

    begun: list[float] = field(default_factory=list)

    def after(self, moment: float) -> float | None:
        """When the first of those that were begun after the moment had gone well."""
        return next((ended for begun, ended in self._pairs() if begun >= moment), None)

    def _pairs(self) -> Iterator[tuple[float, float]]:
        yield from zip(self.begun[::2], self.begun[1::2], strict=True)

    def note(self, begun: float) -> None:
        self.begun += (begun, time.monotonic())


class Traffic:
    """Threads that send events and ask for their number."""

    def __init__(self, service: Service, senders: int = SENDERS) -> None:
        self.service = service
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.failures: list[Reply] = []
        self.wrong: list[str] = []
        self.patience = PATIENCE_SECONDS
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._counts = True
        self._events, self._answers, self._mirror = _Good(), _Good(), _Good()
        self.threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(senders)
        ] + [threading.Thread(target=self._ask)]

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Under way for the length of the block; at its end all that was sent is acknowledged."""
        for thread in self.threads:
            thread.start()
        try:
            self.until_acknowledged(200)
            yield
        finally:
            self._over.set()
            for thread in self.threads:
                thread.join()

    def until_acknowledged(self, more: int) -> None:
        """Waits until so many events more are acknowledged."""
        enough = len(self.acknowledged) + more
        self._until(lambda: len(self.acknowledged) >= enough, "no events are taken")

    def recovered(self, fault: str, back: float) -> Recovery:
        """Waits for events taken and answers given, also by a mirror, all begun after `back`."""
        goods = (self._events, self._answers, self._mirror)
        self._until(lambda: all(good.after(back) is not None for good in goods), fault)
        took = [(good.after(back) or 0.0) - back for good in goods]
        return Recovery(fault, *took)

    def counts_no_more(self) -> None:
        """What was acknowledged may be gone: an older state was put back."""
        self._counts = False

    def expect(self, ids: Iterable[str]) -> None:
        """From now on these may be there."""
        with self._lock:
            self.sent.update(ids)

    def acknowledge(self, ids: Iterable[str]) -> None:
        """From now on these must be there."""
        with self._lock:
            self.acknowledged.update(ids)

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + LONGEST_SECONDS
        while not holds():
            last = self.failures[-3:]
            assert time.monotonic() < end, f"{what}: {last}\n{self.service.said()}"
            time.sleep(0.02)

    def _send(self, number: int) -> None:
        first = number * 1_000_000
        while not self._over.is_set():
            batch = events(first, 20)
            first += len(batch)
            ids = {event["event_id"] for event in batch}
            self.expect(ids)
            if not self._send_until_acknowledged(batch):
                return
            self.acknowledge(ids)
            self._over.wait(0.01)

    def _send_until_acknowledged(self, batch: list[dict[str, str]]) -> bool:
        end = None
        while True:
            begun = time.monotonic()
            reply = self.service.send(batch, self.patience)
            if reply.status == 200:
                self._events.note(begun)
                return True
            self.failures.append(reply)
            if self._over.is_set():
                end = end or time.monotonic() + LONGEST_SECONDS
                if time.monotonic() > end:
                    self.wrong.append(f"never acknowledged: {reply}")
                    return False
            time.sleep(0.1)

    def _ask(self) -> None:
        while not self._over.wait(0.05):
            least, begun = len(self.acknowledged), time.monotonic()
            reply = self.service.get(TOTAL, seconds=self.patience)
            if reply.status != 200:
                self.failures.append(reply)
                continue
            (self._mirror if reply.engine == "mirror" else _Good()).note(begun)
            self._answers.note(begun)
            total, most = sum(row["count"] for row in reply.body), len(self.sent)
            if self._counts and not least <= total <= most:
                self.wrong.append(f"{reply.engine} counts {total}, not {least} to {most}")
