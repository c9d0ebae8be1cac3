"""Peers that send too much of a head, or too slowly, or don't read what they asked for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from app import http_protocol
from app.settings import Settings
from tests.api.conftest import Caller
from tests.api.test_sockets import Peer, serving

LATE = 0.4


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[tuple[str, int]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_protocol, "HEAD_SECONDS", LATE)
        with serving(settings) as found:
            yield found


START = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
FLOODS = {
    "one long value": START + b"X: " + b"y" * 40_000 + b"\r\n\r\n",
    "one long name": START + b"X" * 40_000 + b": y\r\n\r\n",
    "a long path": b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": START + b"".join(b"X%d: y\r\n" % n for n in range(200)) + b"\r\n",
    "no end in sight": START + b"X: " + b"y" * 200_000,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_headers_is_refused(address: tuple[str, int], flood: str) -> None:
    with Peer(address) as peer:
        peer.send(FLOODS[flood])
        status, problem = peer.answer()
        assert (status, problem["code"]) == (431, "request_header_fields_too_large")
        assert peer.headers[b"content-type"] == b"application/problem+json"
        assert peer.is_closed()
    assert_serving(address)


def test_a_flood_in_pieces_is_refused_too(address: tuple[str, int]) -> None:
    with Peer(address) as peer:
        peer.send(START)
        for number in range(60):
            if peer.has_answered(0):
                break
            peer.send(b"X%d: " % number + b"y" * 1000 + b"\r\n")
        assert peer.answer()[0] == 431


def test_as_many_headers_as_proxies_send_are_taken(address: tuple[str, int]) -> None:
    many = b"".join(b"X%d: %s\r\n" % (n, b"y" * 300) for n in range(90))
    with Peer(address) as peer:
        peer.send(START + many + b"\r\n")
        assert peer.answer()[0] == 200


@pytest.mark.parametrize("sent", [b"GET /healthz HT", START, START + b"X: y\r\n"])
def test_a_head_that_does_not_end_is_cut_off(address: tuple[str, int], sent: bytes) -> None:
    with Peer(address) as peer:
        peer.send(sent)
        status, problem = peer.answer()
        assert (status, problem["code"]) == (408, "request_timeout")
        assert peer.is_closed()


def test_a_head_that_trickles_is_cut_off(address: tuple[str, int]) -> None:
    with Peer(address) as peer:
        peer.send(START)
        for _ in range(50):
            if peer.has_answered(LATE / 8):
                break
            peer.send(b"X: y\r\n")
        assert peer.answer()[0] == 408


def test_a_peer_that_asks_nothing_is_hung_up_on(address: tuple[str, int]) -> None:
    with Peer(address) as peer:
        assert peer.is_closed()


def test_a_connection_is_kept_for_further_requests(address: tuple[str, int]) -> None:
    with Peer(address) as peer:
        for _ in range(3):
            peer.send(START + b"\r\n")
            assert peer.answer()[0] == 200
            time.sleep(LATE / 2)
        time.sleep(LATE)  # longer than a head may take, but none has begun
        peer.send(START)
        assert peer.answer()[0] == 408


def test_what_is_no_http_is_refused(address: tuple[str, int]) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ):
        with Peer(address) as peer:
            peer.send(nonsense)
            assert peer.status() == 400
            assert peer.is_closed()
    assert_serving(address)


def test_an_upgrade_is_not_taken(address: tuple[str, int]) -> None:
    with Peer(address) as peer:
        peer.send(START + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert peer.answer()[0] == 200


def assert_serving(address: tuple[str, int]) -> None:
    with Peer(address) as peer:
        peer.send(START + b"\r\n")
        assert peer.answer()[0] == 200


def test_a_peer_that_does_not_read_its_answer_is_hung_up_on(
    settings: Settings, make_caller: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "READ_SECONDS", 0.3)
    key = make_caller("unread").read["Authorization"]
    # Half a megabyte each: together more than the kernel holds for a peer that reads nothing.
    question = "/api/stats/dau?from=1980-01-01&to=2029-12-31&engine=postgres"
    request = f"GET {question} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n"
    unlimited = settings.model_copy(update={"stats_rate_limit": 10**6})
    with serving(unlimited) as address, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.settimeout(20)
        peer.connect(address)
        peer.sendall(request.encode() * 16)
        received = peer.recv(4096)
        time.sleep(6)  # so long a busy machine takes for that many answers
        with suppress(ConnectionResetError):
            while piece := peer.recv(1 << 16):
                received += piece
    assert received.startswith(b"HTTP/1.1 200")
    assert received.count(b"HTTP/1.1 200") < 16
