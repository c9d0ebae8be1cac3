"""Redis killed, away, back, emptied: keys work on, people sign in again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.faults.service import Reply
from tests.faults.stack import Stack
from tests.faults.traffic import LONGEST_SECONDS, Recovery, Traffic

Timed = Callable[..., Recovery]
PERSON = {"email": "ann@example.com", "password": "correct horse battery staple"}


def asked_once(stack: Stack, what: str) -> Reply:
    headers = {"Content-Type": "application/json"}
    body = json.dumps(PERSON).encode()
    return stack.service.request("POST", f"/api/auth/{what}", body, headers, 20)


def answered(ask: Callable[[], Reply]) -> Reply:
    """As clients do: Redis seems away for a moment where much else is to be done."""
    end = time.monotonic() + LONGEST_SECONDS
    while (reply := ask()).status == 503:
        assert time.monotonic() < end, reply
        time.sleep(0.3)
    return reply


def asked_to(stack: Stack, what: str) -> Reply:
    return answered(lambda: asked_once(stack, what))


def me(stack: Stack, signed_in: Reply) -> int:
    headers = {"Authorization": f"Bearer {signed_in.body['access_token']}"}
    return answered(lambda: stack.service.get("/api/auth/me", headers)).status


@pytest.mark.slow
def test_redis_killed_emptied_and_back(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    """Without persistence, so what comes back is empty as well."""
    service = stack.service
    service.start()
    assert asked_to(stack, "register").status == 201
    signed_in = asked_to(stack, "login")
    assert me(stack, signed_in) == 200
    with traffic.flowing():
        stack.redis.stop()
        service.until(lambda: service.readiness()["status"] == "degraded")
        traffic.until_acknowledged(500)
        assert asked_once(stack, "login").status == 503
        stack.redis.start()
        back = time.monotonic()
        service.until(lambda: service.readiness()["status"] == "ready")
        assert asked_to(stack, "login").status == 200
        timed("Redis killed (-9), and empty when back", back)
        stack.redis.empty()
        timed("Redis emptied")
        assert me(stack, signed_in) == 401
        assert me(stack, asked_to(stack, "login")) == 200
    assert traffic.failures == [], "keys don't need Redis"
    stack.require_exact(traffic)
