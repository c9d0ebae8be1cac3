"""Erasing a person over HTTP: the receipt, odd user ids, other projects; and storage periods."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import Caller, Person

ODD = [
    "ann",
    "ann@example.com",
    "a/b",
    "/",
    "x/events",
    "../../1/users/ann",
    "50%",
    "Їжак 🦔",
    "' or true --",
    "two\nlines",
    "\n",
    " ",
    "x" * 200,
]


@pytest.fixture(scope="module")
def owner(
    caller: Caller, make_person: Callable[[str], Person], join: Callable[..., None]
) -> dict[str, str]:
    person = make_person("owner")
    join(person, caller.project, "owner")
    return person.headers


def send(client: TestClient, caller: Caller, users: list[str]) -> None:
    events = [
        {
            "event_id": str(uuid4()),
            "occurred_at": "2025-08-01T10:00:00Z",
            "user_id": user,
            "event_type": "look",
        }
        for user in users
    ]
    assert client.post("/api/events", headers=caller.ingest, json=events).status_code == 200


def users_seen(client: TestClient, caller: Caller) -> int:
    days = {"from": "2025-08-01", "to": "2025-08-01"}
    answer = client.get("/api/stats/dau", headers=caller.read, params=days)
    return int(answer.json()[0]["dau"])


def erase(client: TestClient, caller: Caller, owner: dict[str, str], user: str) -> Any:
    address = f"/api/projects/{caller.project.id}/users/{quote(user, safe='')}/events"
    return client.delete(address, headers=owner)


@pytest.mark.parametrize("user", ODD)
def test_exactly_one_user_is_erased_whatever_the_id(
    client: TestClient, caller: Caller, owner: dict[str, str], user: str
) -> None:
    before = users_seen(client, caller)
    send(client, caller, [user, user, "another"])
    answer = erase(client, caller, owner, user)
    assert (answer.status_code, answer.json()["events"]) == (200, 2), answer.text
    assert users_seen(client, caller) == max(before, 1)
    assert erase(client, caller, owner, user).json()["events"] == 0


def test_the_receipt_says_when_all_is_done(
    client: TestClient, caller: Caller, owner: dict[str, str]
) -> None:
    send(client, caller, ["gone"])
    made = erase(client, caller, owner, "gone").json()
    assert made["done"] is False
    address = f"/api/projects/{caller.project.id}/erasures/{made['id']}"
    deadline = monotonic() + 30
    while (found := client.get(address, headers=owner).json())["mirrors"]["passed"] == 0:
        assert monotonic() < deadline, found
        sleep(0.2)
    assert {name: found[name] for name in ("events", "transaction", "removed_at")} == {
        name: made[name] for name in ("events", "transaction", "removed_at")
    }


def test_another_project_s_events_and_receipts_are_out_of_reach(
    client: TestClient, caller: Caller, owner: dict[str, str], make_caller: Callable[..., Caller]
) -> None:
    theirs = make_caller("their shop")
    send(client, theirs, ["ann"])
    made = erase(client, caller, owner, "ann").json()
    assert users_seen(client, theirs) == 1
    unknown = client.get(f"/api/projects/{caller.project.id}/erasures/{uuid4()}", headers=owner)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_erasure")
    address = f"/api/projects/{theirs.project.id}/erasures/{made['id']}"
    assert client.get(address, headers=owner).json()["code"] == "unknown_project"


@pytest.mark.parametrize("user", ["", "x" * 201, "a\0b"])
def test_an_id_that_no_event_can_have_is_refused(
    client: TestClient, caller: Caller, owner: dict[str, str], user: str
) -> None:
    answer = erase(client, caller, owner, user)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_user_id")


def test_storage_period_is_set_seen_and_taken_back(
    client: TestClient, caller: Caller, owner: dict[str, str]
) -> None:
    address = f"/api/projects/{caller.project.id}/storage-period"
    assert client.get(address, headers=owner).json() == {"days": None}
    for days in (30, None):
        assert client.put(address, headers=owner, json={"days": days}).json() == {"days": days}
        assert client.get(address, headers=owner).json() == {"days": days}


@pytest.mark.parametrize("body", [{}, {"days": 0}, {"days": 36_501}, {"days": 1.5}])
def test_impossible_period_is_refused(
    client: TestClient, caller: Caller, owner: dict[str, str], body: dict[str, Any]
) -> None:
    address = f"/api/projects/{caller.project.id}/storage-period"
    assert client.put(address, headers=owner, json=body).status_code == 422
