"""Questions over HTTP, by one, eight and sixty-four clients at once.

Question: how long does a caller wait for daily active users, and how many such requests a second
does one server process answer, and do two?
Hypothesis: one client waits less than 10 ms for an exact answer; with more, one Python process is
what binds, so requests a second stay and waits grow with the clients. A second process takes what
it leaves of the cores. Where each asks for other days, DuckDB has as much to do as Python.
freshness=mirror saves the look at Postgres, a 304 saves the question.
Control: the whole stack: key, limits, validation, the mirror, JSON. Nothing is written meanwhile.
All ask for the same 120 days, as a page of charts does: from the second time on the roll-ups
needn't be read, and a look at Postgres says so. For `other days` there are more ranges, of 84 to
120 days, than a mirror keeps answers, and they take turns, so none finds its answer kept. Every
body of every load is compared with what was answered before, and that, for some, with SQL's. One
round to warm up, then five of 120 requests, whose raw times are kept.
Client: benchmarks.wire, on the same cores; it takes about a tenth of what the server takes.
Command: make benchmark, or make benchmark_func FUNC=test_http_stats.
What would make it wrong: a busy machine; compare the figures of one run with each other only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from http import HTTPStatus
from itertools import cycle, islice
from statistics import median

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from analytics.mirror.known import MOST_ANSWERS
from benchmarks import wire
from benchmarks.asking_http import Answered, Asker
from benchmarks.conftest import SIZE
from benchmarks.generate import DAYS, FIRST_DAY, measured_events
from benchmarks.load import copy_in
from benchmarks.serving import Serving, serving, serving_too

REQUESTS = min(120, max(20, SIZE // 50))
RANGES, STARTS = 360, 20
ROUNDS = 5
COMPARED_WITH_SQL = 5
CONNECTIONS = 20
"""So many one after the other come to both of two processes."""
EXACT, OTHER_DAYS, STALE, UNCHANGED = "exact", "exact, other days", "freshness=mirror", "304"
KINDS = (EXACT, OTHER_DAYS, STALE, UNCHANGED)
CASES = [
    *((kind, clients, 1) for kind in KINDS for clients in (1, 8, 64)),
    *((kind, clients, 2) for kind in (EXACT, OTHER_DAYS) for clients in (8, 64)),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    """A server whose mirror has all events."""
    with serving() as found:
        asyncio.run(copy_in(found.urls.writer, found.project_id, measured_events(SIZE)))
        with psycopg.connect(found.urls.owner, autocommit=True) as connection:
            connection.execute("vacuum (analyze) events")
        with closing(Asker(found)) as asker:
            asker.until_mirrored(paths()[0])
        yield found


@pytest.fixture(scope="module")
def pair(server: Serving, answers: Mapping[str, Answered]) -> Iterator[Serving]:
    """Two processes over the same database, each with a mirror that has all events."""
    with serving_too(server, workers=2) as found:
        for _ in range(CONNECTIONS):
            with closing(Asker(found)) as asker:
                asker.until_mirrored(paths()[0], answers[paths()[0]].body)
        yield found


@pytest.fixture(scope="module")
def answers(server: Serving) -> Mapping[str, Answered]:
    """What the mirror answers to each path; some were compared with SQL's."""
    with closing(Asker(server)) as asker:
        found = {path: asker.ask(path) for path in paths()}
        for path in paths()[:: RANGES // COMPARED_WITH_SQL]:
            assert asker.ask(f"{path}&engine=postgres").body == found[path].body
    assert {answered.engine for answered in found.values()} == {"mirror"}
    return found


def paths() -> list[str]:
    """Questions of which no two are the same; the first is about all days."""
    assert RANGES > MOST_ANSWERS
    last = FIRST_DAY + timedelta(days=DAYS - 1)
    pairs = [divmod(number, STARTS) for number in range(RANGES)]
    return [
        f"/api/stats/dau?from={FIRST_DAY + timedelta(days=later)}&to={last - timedelta(days=less)}"
        for less, later in pairs
    ]


@pytest.mark.parametrize(("kind", "clients", "processes"), CASES)
def test_http_stats(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    answers: Mapping[str, Answered],
    kind: str,
    clients: int,
    processes: int,
) -> None:
    server: Serving = request.getfixturevalue("server" if processes == 1 else "pair")
    asked = paths() if kind == OTHER_DAYS else paths()[:1]
    requests = {path: ready(path, kind, server, answers[path]) for path in asked}
    turns = cycle(asked)
    loads: list[tuple[list[str], wire.Load]] = []

    def load() -> None:
        sent = list(islice(turns, REQUESTS))
        ready_made = [requests[path] for path in sent]
        found = asyncio.run(wire.send_all("127.0.0.1", server.port, ready_made, clients))
        loads.append((sent, found))

    benchmark.group = f"GET /stats/dau, {SIZE:,} events, {REQUESTS} requests"
    benchmark.pedantic(  # type: ignore[no-untyped-call]  # has no types
        load, rounds=ROUNDS, warmup_rounds=1
    )
    for sent, each in loads:
        expected = Counter(b"" if kind == UNCHANGED else answers[path].body for path in sent)
        assert Counter(reply_body(reply, kind) for reply in each.replies) == expected
    timed = [each for _, each in loads[-ROUNDS:]]
    waits = sorted(wait * 1e3 for each in timed for wait in each.latencies)
    named = kind if processes == 1 else f"{kind}, {processes} processes"
    benchmark.extra_info |= {"about": "http", "size": SIZE, "kind": named, "clients": clients}
    benchmark.extra_info |= {
        "p50_ms": waits[len(waits) // 2],
        "p99_ms": waits[len(waits) * 99 // 100],
        "requests_per_second": median(len(each.replies) / each.seconds for each in timed),
    }


def ready(path: str, kind: str, server: Serving, answered: Answered) -> bytes:
    """The request as it goes over the wire."""
    headers = {"Authorization": f"Bearer {server.read_key}"}
    if kind == UNCHANGED:
        assert answered.etag
        headers["If-None-Match"] = answered.etag
    return wire.get(f"{path}&freshness=mirror" if kind == STALE else path, headers)


def reply_body(reply: wire.Reply, kind: str) -> bytes:
    """The body, of a reply with the status that the kind has."""
    wanted = HTTPStatus.NOT_MODIFIED if kind == UNCHANGED else HTTPStatus.OK
    assert reply.status == wanted, reply
    return reply.body
