"""Keys over HTTP: shown once, replaced, ended at once on every server, their last use noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller, Person, bearer
from tests.conftest import Database

DAYS = {"from": "2025-08-01", "to": "2025-08-01"}


@pytest.fixture(scope="module")
def keys(
    caller: Caller, make_person: Callable[[str], Person], join: Callable[..., None]
) -> tuple[str, dict[str, str]]:
    """The address of a project's keys, and the headers of a member of it."""
    member = make_person("member")
    join(member, caller.project, "member")
    return f"/api/projects/{caller.project.id}/keys", member.headers


@pytest.fixture(scope="module")
def another_server(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings, local=True)) as client:
        yield client


@pytest.fixture
def make_key(client: TestClient, keys: tuple[str, dict[str, str]]) -> Callable[..., dict[str, Any]]:
    def make(**body: Any) -> dict[str, Any]:
        answer = client.post(keys[0], headers=keys[1], json={"scope": "read", **body})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return make


def lets_in(client: TestClient, key: str) -> bool:
    answer = client.get("/api/stats/dau", params=DAYS, headers=bearer(key))
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


def test_a_key_is_shown_once(
    client: TestClient, keys: tuple[str, dict[str, str]], make_key: Callable[..., dict[str, Any]]
) -> None:
    made = make_key()
    secret = made.pop("key")
    assert lets_in(client, secret)
    assert secret.startswith(made["prefix"])
    listed = client.get(keys[0], headers=keys[1])
    assert secret not in listed.text
    assert {each["id"]: each for each in listed.json()}[made["id"]] | {"last_used_at": None} == made


def test_a_key_that_expires_says_when(
    client: TestClient, make_key: Callable[..., dict[str, Any]], module_database: Database
) -> None:
    made = make_key(valid_days=90)
    lives = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lives == timedelta(days=90)
    assert lets_in(client, made["key"])
    with psycopg.connect(module_database.owner) as connection:
        connection.execute("update api_keys set expires_at = now() where id = %s", [made["id"]])
    assert not lets_in(client, made["key"])


def test_revoked_key_is_refused_by_every_server_at_once(
    client: TestClient,
    another_server: TestClient,
    keys: tuple[str, dict[str, str]],
    make_key: Callable[..., dict[str, Any]],
) -> None:
    made = make_key()
    assert lets_in(client, made["key"])
    assert lets_in(another_server, made["key"])
    for _ in range(2):  # once more changes nothing
        assert client.delete(f"{keys[0]}/{made['id']}", headers=keys[1]).status_code == 204
        assert not lets_in(another_server, made["key"])
        assert not lets_in(client, made["key"])


@pytest.mark.parametrize("valid_days", [None, 30])
def test_rotation_with_a_grace_lets_both_in_until_it_is_over(
    client: TestClient,
    keys: tuple[str, dict[str, str]],
    make_key: Callable[..., dict[str, Any]],
    module_database: Database,
    valid_days: int | None,
) -> None:
    old = make_key(valid_days=valid_days)
    address = f"{keys[0]}/{old['id']}"
    answer = client.post(f"{address}/rotate", headers=keys[1], json={"grace_hours": 24})
    new = answer.json()
    assert answer.status_code == 201
    assert new["scope"] == old["scope"]
    assert (new["expires_at"] is None) == (valid_days is None)
    assert lets_in(client, old["key"])
    assert lets_in(client, new["key"])
    listed = {each["id"]: each for each in client.get(keys[0], headers=keys[1]).json()}
    ends = datetime.fromisoformat(listed[old["id"]]["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < ends < timedelta(hours=25)
    with psycopg.connect(module_database.owner) as connection:
        connection.execute("update api_keys set expires_at = now() where id = %s", [old["id"]])
    assert not lets_in(client, old["key"])
    assert lets_in(client, new["key"])


def test_a_grace_never_lengthens_a_key_s_life(
    client: TestClient, keys: tuple[str, dict[str, str]], make_key: Callable[..., dict[str, Any]]
) -> None:
    old = make_key(valid_days=1)
    address = f"{keys[0]}/{old['id']}/rotate"
    assert client.post(address, headers=keys[1], json={"grace_hours": 720}).status_code == 201
    listed = {each["id"]: each for each in client.get(keys[0], headers=keys[1]).json()}
    assert listed[old["id"]]["expires_at"] == old["expires_at"]


def test_rotation_without_a_grace_ends_the_old_key_at_once_and_can_t_be_repeated(
    client: TestClient, keys: tuple[str, dict[str, str]], make_key: Callable[..., dict[str, Any]]
) -> None:
    old = make_key()
    address = f"{keys[0]}/{old['id']}/rotate"
    new = client.post(address, headers=keys[1], json={"grace_hours": 0}).json()
    assert not lets_in(client, old["key"])
    assert lets_in(client, new["key"])
    again = client.post(address, headers=keys[1], json={"grace_hours": 0})
    assert (again.status_code, again.json()["code"]) == (409, "key_ended")


def test_another_project_s_key_is_not_there(
    client: TestClient,
    keys: tuple[str, dict[str, str]],
    make_caller: Callable[..., Caller],
    module_database: Database,
) -> None:
    theirs = make_caller("theirs")
    with psycopg.connect(module_database.owner) as connection:
        statement = "select id from api_keys where project_id = %s and scope = 'read'"
        ((key_id,),) = connection.execute(statement, [theirs.project.id]).fetchall()
    for answer in (
        client.delete(f"{keys[0]}/{key_id}", headers=keys[1]),
        client.post(f"{keys[0]}/{key_id}/rotate", headers=keys[1], json={"grace_hours": 0}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_key")
    assert client.get("/api/stats/dau", params=DAYS, headers=theirs.read).status_code == 200


def test_its_last_use_is_written_when_a_server_ends_at_the_latest(
    settings: Settings,
    client: TestClient,
    keys: tuple[str, dict[str, str]],
    make_key: Callable[..., dict[str, Any]],
) -> None:
    used, unused = make_key(), make_key()
    with TestClient(create_app(settings, local=True)) as server:
        assert lets_in(server, used["key"])
    listed = {each["id"]: each for each in client.get(keys[0], headers=keys[1]).json()}
    at = datetime.fromisoformat(listed[used["id"]]["last_used_at"])
    assert datetime.now(UTC) - at < timedelta(minutes=1)
    assert listed[unused["id"]]["last_used_at"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scope": "write"},
        {"scope": "read", "valid_days": 0},
        {"scope": "read", "valid_days": 10**9},
        {"scope": "read", "project_id": 7},
    ],
)
def test_a_key_that_can_t_be_made_is_refused(
    client: TestClient, keys: tuple[str, dict[str, str]], body: dict[str, Any]
) -> None:
    assert client.post(keys[0], headers=keys[1], json=body).status_code == 422
