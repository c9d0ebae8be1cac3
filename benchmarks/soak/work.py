"""What the server is kept busy with: events in, people and old events out, questions, comparisons.

As many events leave as come, so whatever still grows has no reason to.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from typing import Any, Final
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from analytics.engines.postgres import PostgresEngine
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from app.cli.project import in_transaction
from app.erasure import receipts
from benchmarks.serving import PROJECT, Serving

KEPT_SECONDS: Final = 60
REQUEST: Final = 100
REQUESTS_A_SECOND: Final = 5
USERS: Final = 3_000
DAYS: Final = 60
_TYPES: Final = ("page_view", "click", "search", "login", "purchase")
_WORKS: Final = ("send", "send_files", "remove", "change", "erase", "ask", "ask", "compare")


class Work:
    """Everybody who uses one server, a thread each. `writing` is held by whoever changes events."""

    def __init__(self, serving: Serving) -> None:
        """Nothing runs before `going`."""
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._serving = serving
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._project = Project(serving.project_id, PROJECT, "UTC", WeekStart.MONDAY)
        self._first = datetime.now(UTC).date() - timedelta(days=DAYS)

    @contextmanager
    def going(self) -> Iterator[None]:
        """All of them at work for the length of the block."""
        threads = [
            threading.Thread(target=self._run, args=(name, random.Random(number)))  # noqa: S311
            for number, name in enumerate(_WORKS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _run(self, name: str, chance: random.Random) -> None:
        try:
            getattr(self, f"_{name}")(chance)
        except Exception as error:  # noqa: BLE001 - the run ends, and says it
            self.failures.append(f"{name}: {type(error).__name__}: {error}")

    def _every(self, seconds: float) -> Iterator[None]:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + seconds, time.monotonic() - seconds)
            yield

    def _send(self, chance: random.Random) -> None:
        self._events(chance, 1 / REQUESTS_A_SECOND, REQUEST, "events")

    def _send_files(self, chance: random.Random) -> None:
        self._events(chance, 10, 2_000, "events in files")

    def _events(self, chance: random.Random, every: float, count: int, name: str) -> None:
        with closing(HTTPConnection("127.0.0.1", self._serving.port, timeout=60)) as client:
            for _ in self._every(every):
                body = json.dumps([self._event(chance) for _ in range(count)])
                with self._writing:
                    _, answer = self._request(client, "POST", "/api/events", body)
                assert len(answer["inserted"]) == count, "an event was taken for a duplicate"
                self.counts[name] += count
                if every > 1:  # the server hangs up on those who are silent for seconds
                    client.close()

    def _event(self, chance: random.Random) -> dict[str, Any]:
        at = datetime.now(UTC) - timedelta(seconds=chance.random() ** 2 * DAYS * 86_400)
        return {
            "event_id": str(UUID(int=chance.getrandbits(128), version=4)),
            "occurred_at": at.isoformat(),
            "user_id": f"user_{int(chance.random() ** 2 * USERS)}",
            "event_type": chance.choice(_TYPES),
            "properties": {"plan": "pro"},
        }

    def _remove(self, _chance: random.Random) -> None:
        """What has been there for KEPT_SECONDS, by transaction number."""
        seen: deque[tuple[float, str]] = deque()
        with psycopg.connect(self._serving.urls.writer, autocommit=True) as connection:
            for _ in self._every(1):
                row = connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text")
                seen.append((time.monotonic(), str((row.fetchone() or ("",))[0])))
                below = None
                while seen[0][0] < time.monotonic() - KEPT_SECONDS:
                    below = seen.popleft()[1]
                if below is not None:
                    with self._writing:
                        gone = connection.execute(
                            "delete from events where ingest_xid < %s::xid8", [below]
                        )
                    self.counts["removed"] += gone.rowcount

    def _change(self, chance: random.Random) -> None:
        with psycopg.connect(self._serving.urls.owner, autocommit=True) as connection:
            for _ in self._every(2):
                with self._writing:
                    changed = connection.execute(
                        "update events set event_type = 'changed' where user_id = %s",
                        [f"user_{chance.randrange(USERS)}"],
                    )
                self.counts["changed"] += changed.rowcount

    def _erase(self, chance: random.Random) -> None:
        for _ in self._every(20):
            user = f"user_{chance.randrange(USERS)}"
            with self._writing:
                asyncio.run(in_transaction(self._serving.urls.writer, self._erasing(user)))
            self.counts["people erased"] += 1

    def _erasing(self, user: str) -> Callable[[AsyncConnection], Awaitable[UUID]]:
        return lambda connection: receipts.erase(connection, self._serving.project_id, user)

    def _ask(self, chance: random.Random) -> None:
        with closing(HTTPConnection("127.0.0.1", self._serving.port, timeout=60)) as client:
            for _ in self._every(0.05):
                self._request(client, "GET", chance.choice(self._paths()))
                self.counts["questions"] += 1

    def _compare(self, _chance: random.Random) -> None:
        """Each question, by the API and by SQL, while nobody writes."""
        with (
            closing(HTTPConnection("127.0.0.1", self._serving.port, timeout=60)) as client,
            closing(PostgresEngine(self._serving.urls.reader)) as postgres,
        ):
            for _ in self._every(10):
                with self._writing:
                    for path, question in zip(self._paths(), self._questions(), strict=True):
                        engine, found = self._request(client, "GET", path)
                        self.counts[f"compared, answered by {engine}"] += 1
                        rows = [row.as_json() for row in postgres.answer(question).rows]
                        assert found == rows, f"{path} differs from SQL"
                client.close()

    def _paths(self) -> list[str]:
        span = f"from={self._first}&to={self._last}"
        return [
            f"/api/stats/dau?{span}",
            f"/api/stats/top-events?{span}&limit=10",
            f"/api/stats/retention?start_date={self._first}&window=8",
        ]

    @property
    def _last(self) -> date:
        return datetime.now(UTC).date()

    def _questions(self) -> list[Any]:
        days = DayRange(self._first, self._last)
        return [
            Dau(self._project, days),
            TopEvents(self._project, days, limit=10),
            Retention(self._project, self._first, self._last, window=8),
        ]

    def _request(
        self, client: HTTPConnection, method: str, path: str, body: str | None = None
    ) -> tuple[str, Any]:
        """Which engine answered, and what."""
        key = self._serving.key if body else self._serving.read_key
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        client.request(method, path, body, headers)
        answer = client.getresponse()
        content = answer.read()
        assert answer.status == 200, f"{path}: {answer.status} {content[:300]!r}"
        return answer.headers.get("Tidemark-Engine", ""), json.loads(content)
