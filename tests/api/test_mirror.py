"""The mirror over HTTP: the default, how fresh it is, and what has not changed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller
from tests.conftest import Database

DAU = "/api/stats/dau?from=2025-08-01&to=2025-08-02"
RETENTION = "/api/stats/retention?start_date=2025-08-01&window=2"
ROLLUPS = "the mirror's roll-ups"


def events(*users: str) -> list[dict[str, Any]]:
    return [
        {
            "event_id": str(uuid.uuid4()),
            "occurred_at": "2025-08-01T10:00:00Z",
            "user_id": user,
            "event_type": "look",
        }
        for user in users
    ]


@pytest.fixture(scope="module")
def shop(client: TestClient, make_caller: Callable[..., Caller]) -> Caller:
    caller = make_caller("mirrored shop")
    client.post("/api/events", json=events("ann"), headers=caller.ingest).raise_for_status()
    until(lambda: ask(client, caller).headers["tidemark-reason"] == ROLLUPS)
    return caller


def ask(client: TestClient, caller: Caller, url: str = DAU, **headers: str) -> httpx.Response:
    return client.get(url, headers={**caller.read, **headers})


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def test_mirror_answers_by_default_and_sees_the_event_just_committed(
    client: TestClient, shop: Caller
) -> None:
    before = ask(client, shop).json()[0]["dau"]
    client.post("/api/events", json=events("new"), headers=shop.ingest).raise_for_status()
    answer = ask(client, shop)
    assert answer.json()[0]["dau"] == before + 1
    assert answer.headers["tidemark-engine"] == "mirror"
    assert answer.headers["tidemark-lag-seconds"] == "0"


def test_answer_that_has_not_changed_is_not_sent_again(client: TestClient, shop: Caller) -> None:
    tag = ask(client, shop).headers["etag"]
    again = ask(client, shop, **{"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert ask(client, shop, RETENTION, **{"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("settled", [False, True])
def test_answer_that_has_changed_is_sent(
    client: TestClient, shop: Caller, module_database: Database, settled: bool
) -> None:
    def synced() -> bool:
        recent = f"{DAU}&freshness=mirror"
        return ask(client, shop, recent).json() == ask(client, shop).json()

    for change in (
        lambda: client.post("/api/events", json=events("more"), headers=shop.ingest),
        lambda: remove(module_database.owner, "more"),
    ):
        tag = ask(client, shop).headers["etag"]
        change()
        if settled:
            until(synced)
        answer = ask(client, shop, **{"If-None-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != tag


def remove(url: str, user: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("delete from events where user_id = %s", [user])


def test_freshness_mirror_does_not_look_at_postgres_and_says_how_old_it_is(
    client: TestClient, shop: Caller, module_database: Database
) -> None:
    before = ask(client, shop, f"{DAU}&freshness=mirror")
    with psycopg.connect(module_database.owner) as connection:
        connection.execute("lock table events in access exclusive mode")
        started = time.monotonic()
        answer = ask(client, shop, f"{DAU}&freshness=mirror")
        assert time.monotonic() - started < 5
        assert answer.json() == before.json()
    assert float(answer.headers["tidemark-lag-seconds"]) > 0
    assert answer.headers["tidemark-as-of"] <= time.strftime(
        "%Y-%m-%dT%H:%M:%S.999999Z", time.gmtime()
    )
    assert "etag" not in answer.headers


def test_unknown_freshness_is_refused(client: TestClient, shop: Caller) -> None:
    answer = ask(client, shop, f"{DAU}&freshness=stale")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert "exact" in answer.json()["detail"]


def test_more_questions_than_may_wait_are_refused_at_once(
    settings: Settings, shop: Caller, module_database: Database
) -> None:
    narrow = settings.model_copy(update={"questions_at_once": 1, "questions_waiting": 1})
    with (
        TestClient(create_app(narrow, local=True)) as client,
        ThreadPoolExecutor(4) as pool,
        psycopg.connect(module_database.owner) as connection,
    ):
        until(lambda: ask(client, shop).headers["tidemark-reason"] == ROLLUPS)
        connection.execute("lock table events in access exclusive mode")
        asked = [pool.submit(ask, client, shop) for _ in range(4)]
        until(lambda: sum(each.done() for each in asked) == 2)
        connection.rollback()
        answers = [each.result() for each in asked]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert [answer.status_code for answer in answers].count(200) == 2
    assert {answer.json()["code"] for answer in refused} == {"busy"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}


def test_without_a_mirror_live_rows_answer(settings: Settings, shop: Caller) -> None:
    with TestClient(
        create_app(settings.model_copy(update={"mirror": False}), local=True)
    ) as client:
        answer = ask(client, shop)
        assert answer.headers["tidemark-engine"] == "attached"
        assert "etag" not in answer.headers
        named = ask(client, shop, f"{DAU}&engine=mirror")
        assert (named.status_code, named.json()["code"]) == (503, "mirror_unavailable")
