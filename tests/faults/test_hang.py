"""Postgres that neither answers nor goes away: whoever waits for it must not wait for ever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest

from analytics.calendar import WeekStart
from analytics.engines.choose import Engines
from analytics.engines.protocol import Freshness
from analytics.errors import Unreachable
from analytics.events import ProjectId
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Plan
from analytics.project import Project
from analytics.questions.day_range import DayRange
from analytics.questions.top_events import TopEvents
from tests.faults.service import Service
from tests.faults.stack import Stack
from tests.faults.traffic import Recovery, Traffic

pytestmark = pytest.mark.slow

Timed = Callable[..., Recovery]
HANGS_SECONDS = 45
LONGEST_SECONDS = 40.0
"""For what was under way when Postgres fell silent: QUERY_TIMEOUT, and ten seconds on top."""
SHORT_SECONDS = 12.0
"""For what comes afterwards, and finds out at the door: two looks, one after the other."""


def test_postgres_hangs(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    """Its processes stand still, as those of a machine do that swaps, or whose disk is away."""
    service, postgres = stack.service, stack.postgres
    traffic.patience = LONGEST_SECONDS
    service.start()
    with traffic.flowing():
        postgres.hang()
        try:
            seen = Seen(service).through(HANGS_SECONDS)
        finally:
            postgres.go_on()
        timed(f"Postgres hangs for {HANGS_SECONDS} s")
    seen.require()
    require_refused(traffic)
    stack.require_exact(traffic)


def test_an_address_that_accepts_and_never_answers(
    stack: Stack, traffic: Traffic, timed: Timed, folder: Path
) -> None:
    """As a proxy does whose servers are gone."""
    service = stack.service
    traffic.patience = LONGEST_SECONDS
    service.start()
    with traffic.flowing():
        with silence(folder / "silent") as address:
            stack.address.point(address)
            stack.postgres.stop()
            seen = Seen(service).through(HANGS_SECONDS)
            stack.postgres.start()
            stack.address.move(stack.postgres)
        timed("An address that accepts and never answers, for 45 s")
    seen.require()
    require_refused(traffic)
    stack.require_exact(traffic)


def test_server_stops_while_postgres_hangs(stack: Stack, traffic: Traffic) -> None:
    """It closes what it can, without a word from Postgres, and ends as if nothing were."""
    service, postgres = stack.service, stack.postgres
    service.start()
    with traffic.flowing():
        postgres.hang()
        try:
            time.sleep(3)
            began = time.monotonic()
            service.stop()
            assert time.monotonic() - began < LONGEST_SECONDS
        finally:
            postgres.go_on()
        service.start()
    stack.require_exact(traffic)


def test_mirror_is_asked_while_postgres_hangs(stack: Stack, folder: Path) -> None:
    """By whoever holds it: over HTTP nobody is let in without a look at Postgres."""
    days = DayRange(date(2025, 1, 1), date(2025, 12, 31))
    question = TopEvents(Project(ProjectId(1), "shop", "Europe/Kyiv", WeekStart.MONDAY), days)
    url = stack.database.reader
    stack.execute(
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " values (1, gen_random_uuid(), '2025-06-01', 'somebody', 'look')"
    )
    with ExitStack() as undo:
        keeper = Keeper(Plan(folder / "held", url))
        undo.callback(keeper.close)
        keeper.open()
        keeper.sync()
        keeper.start()
        engines = Engines.connect(url, timeout=timedelta(seconds=2), keeper=keeper)
        undo.callback(engines.close)
        stack.postgres.hang()
        undo.callback(stack.postgres.go_on)
        for _ in range(5):
            found = engines.answer(question, freshness=Freshness.MIRROR)
            assert [(row.event_type, row.count) for row in found.rows] == [("look", 1)]
            assert found.meta.elapsed_ms < 1_000
            time.sleep(1)
        assert found.meta.lag_seconds > 4, "it says how old its answer is"
        with pytest.raises(Unreachable, match=r"has not answered|timeout expired"):
            engines.answer(question)


@dataclass
class Seen:
    """What those see who ask how the service is."""

    service: Service
    slowest: float = 0.0
    answers: list[tuple[str, int, object]] = field(default_factory=list)

    def through(self, seconds: float) -> Seen:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for path in ("/healthz", "/readyz"):
                began = time.monotonic()
                reply = self.service.get(path, {})
                self.slowest = max(self.slowest, time.monotonic() - began)
                parts = reply.body.get("parts") if isinstance(reply.body, dict) else reply.body
                self.answers.append((path, reply.status, parts))
            self.service.metric("http_requests_total")
            time.sleep(0.5)
        return self

    def require(self) -> None:
        """It lives, and says which part fails, at once."""
        assert self.slowest < 5
        assert {status for path, status, _ in self.answers if path == "/healthz"} == {200}
        readiness = [(status, parts) for path, status, parts in self.answers if path == "/readyz"]
        assert {status for status, _ in readiness} == {503}
        for _, parts in readiness:
            assert isinstance(parts, dict)
            assert parts["postgres"] != "ok", parts
            assert (parts["redis"], parts["mirror"]) == ("ok", "ok")


def require_refused(traffic: Traffic) -> None:
    """Everybody was told, in time, and when to come again."""
    failures = list(traffic.failures)
    assert [reply for reply in failures if reply.status != 503] == []
    assert all(reply.retry_after for reply in failures)
    assert {reply.body["code"] for reply in failures} <= {"unreachable", "contact_lost", "busy"}
    took = sorted(reply.seconds for reply in failures)
    assert took[-1] < LONGEST_SECONDS
    # One of each sender, and of the asker, may have been inside already.
    assert took[-1 - len(traffic.threads)] < SHORT_SECONDS


@contextmanager
def silence(folder: Path) -> Iterator[Path]:
    """A folder with a socket like Postgres's that takes connections and says nothing."""
    folder.mkdir()
    kept: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ".s.PGSQL.5432"))
        (folder / ".s.PGSQL.5432").chmod(0o777)
        listener.listen(200)

        def accept() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield folder
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in kept:
                connection.close()
