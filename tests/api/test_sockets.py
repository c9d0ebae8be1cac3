"""POST /events over real sockets: senders that are slow, break off, or say what isn't so."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

import httpx
import psycopg
import pytest
import uvicorn

from app.http_protocol import uvicorn_config
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller
from tests.conftest import Database
from tests.format_matrix import EVENTS, MATRIX
from tests.unit.ingest.rows import LINE, event_id

ROW = "{},2025-08-01T10:15:00Z,ann,login,\n"
PATIENCE = 0.5


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[str, int]]:
    """The app behind uvicorn, as `tidemark serve` runs it, in a thread."""
    server = uvicorn.Server(uvicorn_config(create_app(settings, local=True), settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[tuple[str, int]]:
    changed = settings.model_copy(update={"body_timeout": timedelta(seconds=PATIENCE)})
    with serving(changed) as found:
        yield found


def head(caller: Caller, **headers: str) -> bytes:
    lines = [
        "POST /api/events HTTP/1.1",
        "Host: localhost",
        f"Authorization: {caller.ingest['Authorization']}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Peer:
    """A sender that does as the test says."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=20)
        self.headers: dict[bytes, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        """Nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    def has_answered(self, seconds: float) -> bool:
        """Whether something comes within this time."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def answer(self) -> tuple[int, Any]:
        """Status and document of the next answer."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.piece()
        top, _, body = received.partition(b"\r\n\r\n")
        self.headers = dict(line.lower().split(b": ", 1) for line in top.split(b"\r\n")[1:])
        while len(body) < int(self.headers[b"content-length"]):
            body += self.piece()
        return int(top[9:12]), json.loads(body)

    def status(self) -> int:
        """Status of the next answer, whatever it holds."""
        return int(self.piece()[9:12])

    def segments(self) -> int:
        """How many pieces have come, each of one write of the server (tcpi_data_segs_in)."""
        facts = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        return int.from_bytes(facts[152:156], sys.byteorder)

    def is_closed(self) -> bool:
        """Whether the server hangs up."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def piece(self) -> bytes:
        """What comes next."""
        data = self._socket.recv(1 << 16)
        assert data, "the server hung up"
        return data


def count(database: Database, caller: Caller) -> int:
    with psycopg.connect(database.reader) as connection:
        query = "select count(*) from events where project_id = %s"
        row = connection.execute(query, (caller.project.id,)).fetchone()
    return int(row[0]) if row else 0


@pytest.fixture
def own(make_caller: Any, request: pytest.FixtureRequest) -> Caller:
    made: Caller = make_caller(request.node.name[:100])
    return made


BODIES = {
    "text/csv": (LINE + "".join(ROW.format(event_id(n)) for n in range(5000))).encode(),
    "application/json": json.dumps(EVENTS).encode(),
    "application/vnd.apache.parquet": next(c for c in MATRIX if str(c) == "parquet").content,
}


@pytest.mark.parametrize("media_type", BODIES)
@pytest.mark.parametrize("pause", ["at once", "half-way"])
def test_a_slow_sender_is_cut_off_and_nothing_of_it_is_written(
    address: tuple[str, int], own: Caller, module_database: Database, media_type: str, pause: str
) -> None:
    body = BODIES[media_type]
    with Peer(address) as peer:
        peer.send(head(own, Content_Type=media_type, Content_Length=str(len(body))))
        if pause == "half-way":
            peer.send(body[: len(body) // 2])
        status, problem = peer.answer()
        assert (status, problem["code"]) == (408, "body_too_slow")
        assert "BODY_TIMEOUT" in problem["detail"]
        assert peer.headers[b"connection"] == b"close"
        assert peer.is_closed()
    assert count(module_database, own) == 0


def test_a_sender_that_trickles_is_cut_off(address: tuple[str, int], own: Caller) -> None:
    with Peer(address) as peer:
        peer.send(head(own, Content_Type="text/csv", Content_Length="1000000"))
        for _ in range(100):
            peer.send(b"x" * 100)
            if peer.has_answered(PATIENCE / 3):
                break
        else:
            pytest.fail("nobody cut it off")
        assert peer.answer()[0] == 408


@pytest.mark.parametrize("media_type", BODIES)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_stops_half_way_writes_nothing(
    address: tuple[str, int], own: Caller, module_database: Database, media_type: str, framing: str
) -> None:
    body = BODIES[media_type]
    half = body[: len(body) // 2]
    with Peer(address) as peer:
        if framing == "length":
            peer.send(head(own, Content_Type=media_type, Content_Length=str(len(body))) + half)
        else:
            peer.send(head(own, Content_Type=media_type, Transfer_Encoding="chunked"))
            peer.send(b"%x\r\n%s\r\n" % (len(half), half))
        time.sleep(0.1)
    time.sleep(0.2)
    assert count(module_database, own) == 0
    assert_serving(address, own)


@pytest.mark.parametrize("media_type", BODIES)
def test_a_chunked_body_is_taken(
    address: tuple[str, int], own: Caller, module_database: Database, media_type: str
) -> None:
    body = BODIES[media_type]
    with Peer(address) as peer:
        peer.send(head(own, Content_Type=media_type, Transfer_Encoding="chunked"))
        for start in range(0, len(body), 7_000):
            piece = body[start : start + 7_000]
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        peer.send(b"0\r\n\r\n")
        status, answer = peer.answer()
    assert status == 200, answer
    assert count(module_database, own) == (5000 if media_type == "text/csv" else len(EVENTS))


@pytest.mark.parametrize("media_type", BODIES)
def test_a_body_longer_than_it_says_is_cut_there(
    address: tuple[str, int], own: Caller, module_database: Database, media_type: str
) -> None:
    body = BODIES[media_type]
    with Peer(address) as peer:
        half = str(len(body) // 2)
        peer.send(head(own, Content_Type=media_type, Content_Length=half) + body)
        assert peer.status() in {400, 422}
    assert count(module_database, own) == 0
    assert_serving(address, own)


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999999", "5, 6"])
def test_a_length_that_is_none_is_refused(
    address: tuple[str, int], own: Caller, length: str
) -> None:
    with Peer(address) as peer:
        peer.send(head(own, Content_Type="text/csv", Content_Length=length) + b"abc")
        peer.end()
        assert peer.status() == 400
    assert_serving(address, own)


def test_a_huge_claim_is_refused_before_its_body_comes(
    address: tuple[str, int], own: Caller
) -> None:
    with Peer(address) as peer:
        peer.send(head(own, Content_Type="application/json", Content_Length=str(1 << 40)))
        status, problem = peer.answer()
    assert (status, problem["code"]) == (413, "body_too_large")


def test_who_sends_all_of_a_body_that_is_too_large_still_hears_why(
    address: tuple[str, int], own: Caller
) -> None:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.post(
                f"http://{address[0]}:{address[1]}/api/events",
                content=b"x" * (40 << 20),
                headers={**own.ingest, "Content-Type": "application/json"},
            )

    answer = asyncio.run(send())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_slow_senders_take_nobody_elses_turn(
    address: tuple[str, int], own: Caller, settings: Settings
) -> None:
    """More of them than may be read at once; small requests don't wait behind them."""
    peers = [Peer(address) for _ in range(settings.bulk_at_once + 3)]
    try:
        for peer in peers:
            peer.send(head(own, Content_Type="text/csv", Content_Length="1000") + LINE.encode())
        time.sleep(0.1)
        assert_serving(address, own)
        assert not any(peer.has_answered(0) for peer in peers)
        answers = [peer.answer() for peer in peers]
    finally:
        for peer in peers:
            peer.__exit__()
    assert {status for status, _ in answers} <= {408, 503}
    assert [status for status, _ in answers].count(408) >= settings.bulk_at_once
    assert all(problem["code"] in {"body_too_slow", "busy"} for _, problem in answers)


def assert_serving(address: tuple[str, int], caller: Caller) -> None:
    """Another request is answered as ever, one whose events are validated in a thread."""
    first = time.time_ns()
    body = json.dumps([{**EVENTS[0], "event_id": event_id(first + n)} for n in range(200)]).encode()
    with Peer(address) as peer:
        length = str(len(body))
        peer.send(head(caller, Content_Type="application/json", Content_Length=length) + body)
        status, answer = peer.answer()
    assert status == 200, answer
    assert len(answer["inserted"]) == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how often was written")
def test_an_answers_head_comes_with_its_body(address: tuple[str, int]) -> None:
    with Peer(address) as peer:
        for number in range(3):
            peer.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert peer.answer()[0] == 200
            assert peer.segments() == number + 1


def test_requests_sent_ahead_are_answered_in_order_and_a_head_has_no_body(
    address: tuple[str, int],
) -> None:
    methods = ["GET", "HEAD", "HEAD", "GET", "HEAD", "GET"]
    ask = "{} /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {}\r\n{}\r\n"
    sent = [ask.format(each, number, "") for number, each in enumerate(methods)]
    last = ask.format("GET", "last", "Connection: close\r\n")
    received = b""
    with Peer(address) as peer:
        peer.send("".join((*sent, last)).encode())
        while b"last" not in received or not peer.is_closed():
            received += peer.piece()
    answers = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
    bodies = [each.partition(b"\r\n\r\n")[2] for each in answers]
    assert [bool(body) for body in bodies] == [each == "GET" for each in (*methods, "GET")]
    ids = [each.partition(b"x-request-id: ")[2].partition(b"\r\n")[0] for each in answers]
    assert ids == [*(str(number).encode() for number in range(len(methods))), b"last"]
