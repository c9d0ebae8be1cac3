"""A whole project deleted over HTTP: nobody gets in, its events go, and the receipt says so."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from app.erasure import deletion
from app.erasure.storage_period import _LOCK
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller, Person
from tests.conftest import Database

QUESTION = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
COUNT = "select count(*) from events where project_id = %s"
FILL = (
    "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
    " select %s, gen_random_uuid(), '2025-08-01', 'user ' || n, 'look'"
    " from generate_series(1, %s) n"
)

MakeCaller = Callable[..., Caller]


@pytest.fixture(scope="module")
def person(make_person: Callable[[str], Person]) -> Person:
    return make_person("owner")


def send(client: TestClient, caller: Caller) -> None:
    event = {
        "event_id": str(uuid4()),
        "occurred_at": "2025-08-01T10:00:00Z",
        "user_id": "ann",
        "event_type": "look",
    }
    assert client.post("/api/events", headers=caller.ingest, json=[event]).status_code == 200


def rows(database: Database, statement: str, *values: object) -> int:
    with psycopg.connect(database.owner) as connection:
        (found,) = connection.execute(statement, values).fetchone() or (0,)
    return int(found)


def eventually(what: Callable[[], bool]) -> None:
    deadline = monotonic() + 30
    while not what():
        assert monotonic() < deadline
        sleep(0.05)


def test_nobody_gets_in_at_once_and_the_receipt_says_when_the_events_are_gone(
    client: TestClient, make_caller: MakeCaller, person: Person, make_person: Any, join: Any,
    module_database: Database,
) -> None:  # fmt: skip
    gone, stays = make_caller("to be deleted"), make_caller("to stay")
    for each in (gone, stays):
        join(person, each.project, "owner")
        send(client, each)
    address = f"/api/projects/{gone.project.id}"
    answer = client.delete(address, params={"name": "to be deleted"}, headers=person.headers)
    assert answer.status_code == 202, answer.text

    assert client.get(address, headers=person.headers).status_code == 404
    assert client.get(QUESTION, headers=gone.read).status_code == 401
    receipt = f"/api/deletions/{answer.json()['id']}"
    eventually(lambda: client.get(receipt, headers=person.headers).json()["removed"] is True)
    assert client.get(receipt, headers=person.headers).json()["events"] == 1
    assert rows(module_database, COUNT, gone.project.id) == 0
    assert rows(module_database, COUNT, stays.project.id) == 1
    stranger = client.get(receipt, headers=make_person("stranger").headers)
    assert (stranger.status_code, stranger.json()["code"]) == (404, "unknown_erasure")


def test_another_name_deletes_nothing(
    client: TestClient, make_caller: MakeCaller, person: Person, join: Any
) -> None:
    project = make_caller("meant otherwise").project
    join(person, project, "owner")
    address = f"/api/projects/{project.id}"
    for params in ({}, {"name": "meant otherwise "}):
        assert client.delete(address, params=params, headers=person.headers).status_code == 422
    assert client.get(address, headers=person.headers).status_code == 200


def test_the_receipt_of_an_erasure_is_no_receipt_of_a_deletion(
    client: TestClient, make_caller: MakeCaller, person: Person, join: Any
) -> None:
    project = make_caller("with an erasure").project
    join(person, project, "owner")
    erased = client.delete(
        f"/api/projects/{project.id}/users/ann/events", headers=person.headers
    ).json()
    assert erased["removed"] is True
    answer = client.get(f"/api/deletions/{erased['id']}", headers=person.headers)
    assert answer.status_code == 404


def test_a_server_goes_on_with_what_another_left_and_waits_for_its_turn(
    settings: Settings, module_database: Database, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "AGAIN_SECONDS", 0.05)
    orphaned = 2_000_000
    rows(module_database, f"with made as ({FILL} returning 1) select 1", orphaned, 500)
    rows(
        module_database,
        "insert into erasures (project_id, events, asked_by) values (%s, 0, %s) returning 1",
        orphaned,
        person.id,
    )
    with psycopg.connect(module_database.owner, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", (_LOCK,))
        with TestClient(create_app(settings, local=True)) as client:
            sleep(0.3)
            assert rows(module_database, COUNT, orphaned) == 500
            other.execute("select pg_advisory_unlock(%s)", (_LOCK,))
            eventually(lambda: rows(module_database, COUNT, orphaned) == 0)
            counted = "select events from erasures where project_id = %s"
            assert rows(module_database, counted, orphaned) == 500
            assert client.get("/healthz").status_code == 200
