"""POST /events: what is taken, what is refused, and what stands in the table afterwards."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from app.settings import Settings
from tests.api.conftest import Caller
from tests.conftest import Database


def event(**changes: Any) -> dict[str, Any]:
    made = {
        "event_id": str(uuid4()),
        "occurred_at": "2025-08-01T10:15:00Z",
        "user_id": "ann",
        "event_type": "login",
        "properties": {"plan": "pro"},
    }
    return {**made, **changes}


def stored(database: Database, *ids: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.reader) as connection:
        return connection.execute(
            "select event_id::text, user_id, properties from events where event_id = any(%s)",
            (list(map(UUID, ids)),),
        ).fetchall()


def post(client: TestClient, caller: Caller, body: Any) -> Any:
    return client.post("/api/events", json=body, headers=caller.ingest)


def test_new_events_are_inserted_and_known_ones_are_duplicates(
    client: TestClient, caller: Caller
) -> None:
    first, second = event(), event()
    assert post(client, caller, [first]).json() == {
        "inserted": [first["event_id"]],
        "duplicates": [],
    }

    answer = post(client, caller, [second, first])
    assert answer.status_code == 200
    assert answer.json() == {"inserted": [second["event_id"]], "duplicates": [first["event_id"]]}


def test_of_two_equal_ids_in_one_request_the_first_is_inserted(
    client: TestClient, caller: Caller, module_database: Database
) -> None:
    one = event(user_id="first")
    answer = post(client, caller, [one, {**one, "user_id": "second"}])
    assert answer.json() == {"inserted": [one["event_id"]], "duplicates": [one["event_id"]]}
    assert stored(module_database, one["event_id"]) == [(one["event_id"], "first", {"plan": "pro"})]


def test_one_event_without_array_is_taken(client: TestClient, caller: Caller) -> None:
    one = event()
    assert post(client, caller, one).json()["inserted"] == [one["event_id"]]


def test_empty_array_inserts_nothing(client: TestClient, caller: Caller) -> None:
    assert post(client, caller, []).json() == {"inserted": [], "duplicates": []}


def test_integer_user_beyond_double_precision_keeps_its_digits(
    client: TestClient, caller: Caller, module_database: Database
) -> None:
    one = event(user_id=2**53 + 1)
    assert post(client, caller, [one]).status_code == 200
    assert stored(module_database, one["event_id"])[0][1] == "9007199254740993"


def test_equal_ids_of_two_projects_are_two_events(
    client: TestClient, caller: Caller, make_caller: Any
) -> None:
    one, other = event(), make_caller("other")
    assert post(client, caller, [one]).json()["inserted"] == [one["event_id"]]
    assert post(client, other, [one]).json()["inserted"] == [one["event_id"]]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"event_id": ""}, "missing_field", "event_id"),
        ({"occurred_at": "2025-08-01T10:15:00"}, "naive_timestamp", "occurred_at"),
        ({"occurred_at": "2025-02-30T10:15:00Z"}, "invalid_timestamp", "occurred_at"),
        ({"user_id": ""}, "missing_field", "user_id"),
        ({"user_id": "x" * 201}, "too_long", "user_id"),
        ({"event_type": "a\0b"}, "nul_character", "event_type"),
        ({"properties": []}, "invalid_properties", "properties"),
    ],
)
def test_one_bad_event_refuses_the_whole_request(
    client: TestClient,
    caller: Caller,
    module_database: Database,
    change: dict[str, Any],
    code: str,
    field: str,
) -> None:
    good = event()
    answer = post(client, caller, [good, event(**change)])

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "invalid_events"
    (reject,) = problem["errors"]
    assert (reject["position"], reject["field"]) == (1, field)
    assert reject["code"] == code
    assert stored(module_database, good["event_id"]) == []


@pytest.mark.parametrize(
    "body", ["", "{", "nonsense", '[{"event_id": NaN}]', "\xff", "[1, 2]", "null", '"text"']
)
def test_body_that_holds_no_events_is_refused(
    client: TestClient, caller: Caller, body: str
) -> None:
    answer = client.post(
        "/api/events",
        content=body.encode("latin-1"),
        headers={**caller.ingest, "Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {"invalid_json", "invalid_events"}


def test_body_of_another_type_is_refused(client: TestClient, caller: Caller) -> None:
    answer = client.post(
        "/api/events", content="a,b", headers={**caller.ingest, "Content-Type": "text/html"}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("streamed", [False, True])
def test_body_over_the_limit_is_refused(
    client: TestClient, caller: Caller, settings: Settings, streamed: bool
) -> None:
    body = json.dumps([event(properties={"x": "y" * settings.max_body_size})]).encode()
    content = iter([body[:1000], body[1000:]]) if streamed else body
    answer = client.post(
        "/api/events",
        content=content,
        headers={**caller.ingest, "Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert str(settings.max_body_size) in answer.json()["detail"]


def test_many_bad_events_are_counted_and_the_first_hundred_listed(
    client: TestClient, caller: Caller
) -> None:
    problem = post(client, caller, [event(user_id="") for _ in range(250)]).json()
    assert problem["detail"].startswith("250 of 250 events can't be taken")
    assert [reject["position"] for reject in problem["errors"]] == list(range(100))
