"""How many events a key may send: by key, by the number of events, and only while Redis answers."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from redis import Redis

from app.local.servers import ServerUrls
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller, Person
from tests.unit.ingest.rows import LINE

PER_MINUTE = 600
REFUSED = 'throttle_decisions_total{limit="events",outcome="refused"}'
PASSED = 'throttle_decisions_total{limit="events",outcome="passed"}'


def events(size: int) -> list[dict[str, Any]]:
    event = {"occurred_at": "2025-08-01T10:15:00Z", "user_id": "ann", "event_type": "login"}
    return [{**event, "event_id": str(uuid4())} for _ in range(size)]


def rows(size: int) -> str:
    return LINE + "".join(f"{uuid4()},2025-08-01T10:15:00Z,ann,login,\n" for _ in range(size))


@contextmanager
def client_of(settings: Settings, **changes: Any) -> Iterator[TestClient]:
    with TestClient(create_app(settings.model_copy(update=changes), local=True)) as client:
        yield client


@pytest.fixture
def throttled(settings: Settings, patience: None) -> Iterator[TestClient]:
    with client_of(settings, rate_limit=PER_MINUTE) as client:
        yield client


@pytest.fixture
def make(make_caller: Callable[..., Caller], servers: ServerUrls) -> Callable[[], Caller]:
    Redis.from_url(servers.redis).flushdb()
    return lambda: make_caller(str(uuid4()))


def metric(client: TestClient, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_a_key_over_its_limit_is_told_when_to_come_again(
    throttled: TestClient, make: Callable[[], Caller]
) -> None:
    one, other = make(), make()
    assert throttled.post("/api/events", json=events(500), headers=one.ingest).status_code == 200
    refused = throttled.post("/api/events", json=events(200), headers=one.ingest)
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert "RATE_LIMIT" in refused.json()["detail"]
    # 100 of 200 are left, and the others come at ten a second.
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert refused.headers["ratelimit-policy"] == '"events";q=600;w=60'
    left = re.fullmatch(r'"events";r=(\d+);t=(\d+)', refused.headers["ratelimit"])
    assert left is not None
    assert 100 <= int(left[1]) < 200
    assert left[2] == refused.headers["retry-after"]
    # What was refused cost nothing, and nobody else is held back.
    assert throttled.post("/api/events", json=events(90), headers=one.ingest).status_code == 200
    assert throttled.post("/api/events", json=events(500), headers=other.ingest).status_code == 200
    assert metric(throttled, REFUSED) == 1


def test_more_than_the_limit_at_once_is_never_let_pass(
    throttled: TestClient, make: Callable[[], Caller]
) -> None:
    refused = throttled.post("/api/events", json=events(601), headers=make().ingest)
    assert (refused.status_code, refused.json()["code"]) == (413, "too_many_events")
    assert "RATE_LIMIT allows 600" in refused.json()["detail"]


def test_a_long_body_waits_instead_and_is_paid_for(
    throttled: TestClient, make: Callable[[], Caller]
) -> None:
    caller = make()
    headers = {**caller.ingest, "Content-Type": "text/csv"}
    answer = throttled.post("/api/events", content=rows(605), headers=headers)
    assert answer.json()["inserted"] == 605
    assert throttled.post("/api/events", content=rows(1), headers=headers).status_code == 429
    assert throttled.post("/api/events", json=events(1), headers=caller.ingest).status_code == 429


def test_requests_at_once_are_let_pass_up_to_the_limit(
    throttled: TestClient, make: Callable[[], Caller]
) -> None:
    """What is asked together is answered as if it came one by one."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    caller = make()

    def post(_: int) -> int:
        return throttled.post("/api/events", json=events(70), headers=caller.ingest).status_code

    with ThreadPoolExecutor(12) as threads:
        statuses = list(threads.map(post, range(12)))
    assert sorted(statuses) == [200] * 8 + [429] * 4


def test_a_restarted_redis_is_taught_the_script_again(
    throttled: TestClient, make: Callable[[], Caller], servers: ServerUrls
) -> None:
    caller = make()
    for _ in range(2):
        assert throttled.post("/api/events", json=events(1), headers=caller.ingest).is_success
        Redis.from_url(servers.redis).script_flush()
    assert metric(throttled, PASSED) == 0


def test_an_emptied_redis_begins_limits_anew(
    throttled: TestClient, make: Callable[[], Caller], servers: ServerUrls
) -> None:
    caller = make()
    for outcome in (200, 429):
        sent = throttled.post("/api/events", json=events(600), headers=caller.ingest)
        assert sent.status_code == outcome
    Redis.from_url(servers.redis).flushdb()
    assert throttled.post("/api/events", json=events(600), headers=caller.ingest).is_success


def test_a_clock_put_back_keeps_nobody_out(
    throttled: TestClient, make: Callable[[], Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two hours; what was sent before is forgiven, and the limit holds from then on."""
    caller, now = make(), time.time_ns
    post = lambda size: throttled.post(  # noqa: E731
        "/api/events", json=events(size), headers=caller.ingest
    )
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time_ns", lambda: now() + 7_200 * 10**9)
        assert post(500).status_code == 200
        assert post(500).status_code == 429
    assert post(500).status_code == 200
    refused = post(500)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) <= 60


def test_without_an_answer_from_redis_events_pass_and_are_counted(
    settings: Settings, make: Callable[[], Caller]
) -> None:
    caller = make()
    away = SecretStr("redis://127.0.0.1:1/0")
    with client_of(settings, rate_limit=10, redis_url=away) as client:
        for _ in range(5):
            assert client.post("/api/events", json=events(9), headers=caller.ingest).is_success
        assert metric(client, PASSED) == 5


def test_without_redis_nothing_is_limited_and_the_log_says_so_once(
    settings: Settings, make: Callable[[], Caller], caplog: pytest.LogCaptureFixture
) -> None:
    caller = make()
    with (
        caplog.at_level(logging.WARNING),
        client_of(settings, rate_limit=10, redis_url=None) as client,
    ):
        for _ in range(3):
            assert client.post("/api/events", json=events(20), headers=caller.ingest).is_success
    assert [record.message for record in caplog.records].count("redis.none") == 1


QUESTION = "/api/stats/dau?from=2025-08-01&to=2025-08-01"


def test_questions_are_charged_by_what_they_cost(
    settings: Settings, make: Callable[[], Caller]
) -> None:
    one, other = make(), make()
    with client_of(settings, stats_rate_limit=12) as client:
        assert client.get(QUESTION, headers=one.read).status_code == 200
        assert client.get(f"{QUESTION}&engine=postgres", headers=one.read).status_code == 200
        assert client.get(QUESTION, headers=one.read).status_code == 200
        refused = client.get(QUESTION, headers=one.read)
        assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
        assert "STATS_RATE_LIMIT allows this key 12 points" in refused.json()["detail"]
        # Five seconds a point, less what went by since.
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert refused.headers["ratelimit-policy"] == '"stats";q=12;w=60'
        assert client.get(QUESTION, headers=other.read).status_code == 200


def test_a_question_that_costs_more_than_a_minute_holds_can_be_asked_once(
    settings: Settings, make: Callable[[], Caller]
) -> None:
    caller = make()
    dear = "/api/stats/dau?from=1990-01-01&to=2025-08-01&engine=postgres"
    with client_of(settings, stats_rate_limit=2) as client:
        assert client.get(dear, headers=caller.read).status_code == 200
        assert client.get(dear, headers=caller.read).status_code == 429


def test_without_an_answer_from_redis_questions_by_key_are_answered(
    settings: Settings, make: Callable[[], Caller]
) -> None:
    caller = make()
    away = SecretStr("redis://127.0.0.1:1/0")
    with client_of(settings, stats_rate_limit=1, redis_url=away) as client:
        for _ in range(3):
            assert client.get(QUESTION, headers=caller.read).status_code == 200
        assert metric(client, PASSED.replace("events", "stats")) == 3


def limits_of(answer: Any) -> tuple[int, str, str]:
    """Status, code, and whose limit it was."""
    return answer.status_code, answer.json()["code"], answer.headers["ratelimit-policy"]


def test_sign_in_is_limited_by_address_whatever_the_request_says_it_is(
    settings: Settings, make: Callable[[], Caller]
) -> None:
    make()
    with client_of(settings, auth_address_rate_limit=6) as client:
        paths = ("register", "login", "refresh", "logout", "logout-all", "change-password")
        for number, path in enumerate(paths):
            spoofed = {
                "X-Forwarded-For": f"203.0.113.{number}",
                "Forwarded": f"for=10.0.0.{number}",
            }
            answer = client.post(f"/api/auth/{path}", json={}, headers=spoofed)
            assert answer.status_code in {401, 422}
        for path in paths:
            refused = client.post(f"/api/auth/{path}", json={}, headers=spoofed)
            assert limits_of(refused) == (429, "throttled", '"auth_address";q=6;w=60')
            assert refused.headers["ratelimit"].startswith('"auth_address";r=0;t=')
            assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert client.get(QUESTION, headers=make().read).status_code == 200
        assert metric(client, REFUSED.replace("events", "auth_address")) == len(paths)


def test_an_account_is_limited_wherever_its_guessers_are(
    settings: Settings, make: Callable[[], Caller]
) -> None:
    make()
    with client_of(settings, auth_account_rate_limit=2) as client:
        wrong = {"email": "limited@example.com", "password": "x" * 12}
        for _ in range(2):
            assert client.post("/api/auth/login", json=wrong).status_code == 401
        refused = client.post("/api/auth/login", json=wrong)
        assert limits_of(refused) == (429, "throttled", '"auth_account";q=2;w=60')
        other = {**wrong, "email": "other@example.com"}
        assert client.post("/api/auth/login", json=other).status_code == 401


def test_other_requests_are_limited_by_user(
    settings: Settings, make: Callable[[], Caller], make_person: Callable[[str], Person]
) -> None:
    make()
    ann, bob = make_person("limited.ann"), make_person("limited.bob")
    with client_of(settings, request_rate_limit=2) as client:
        for path in ("/api/projects", "/api/auth/me"):
            assert client.get(path, headers=ann.headers).status_code == 200
        refused = client.post("/api/projects", json={"name": "third"}, headers=ann.headers)
        assert limits_of(refused) == (429, "throttled", '"requests";q=2;w=60')
        assert client.get("/api/projects", headers=bob.headers).status_code == 200
