"""/auth: who may register, under which address, and who that is afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.main import create_app
from app.settings import Registration, Settings
from tests.api.conftest import (
    ENDED,
    PASSWORD,
    MakePerson,
    ascii_json,
    bearer,
    code,
    log_in,
    me,
    refreshed,
)
from tests.conftest import Database


def test_who_has_registered_and_logged_in_is_known(
    client: TestClient, make_person: MakePerson
) -> None:
    ann = make_person("ann")
    found = me(client, ann.headers)
    assert found.status_code == 200
    assert (found.json()["id"], found.json()["email"]) == (ann.id, "ann@example.com")


def test_first_user_owns_the_first_project_and_the_second_none(
    database: Database, settings: Settings
) -> None:
    changed = {"database_url": SecretStr(database.writer), "mirror": False}
    with TestClient(create_app(settings.model_copy(update=changed))) as client:
        for name in ("first", "second"):
            body = {"email": f"{name}@example.com", "password": PASSWORD}
            assert client.post("/api/auth/register", json=body).status_code == 201
        found = [
            me(client, bearer(log_in(client, f"{name}@example.com")["access_token"])).json()
            for name in ("first", "second")
        ]
    assert [each["projects"] for each in found] == [
        [{"id": 1, "name": "main", "timezone": "UTC", "week_start": "monday", "role": "owner"}],
        [],
    ]


@pytest.mark.parametrize(
    "email",
    [
        "KÉA.ßtwin@example.com",
        "kéa.ßtwin@EXAMPLE.COM",
        "\uff4b\u00e9\uff41.ßtwin@example.com",
        "ke\u0301a.ßtwin@example.com",
        "\u212aéa.sstwin@example.com",
        "kéa.\u1e9etwin@ex\u1d43mple.com",
    ],
    ids=["upper case", "domain", "full width", "decomposed", "Kelvin sign", "capital sharp s"],
)
def test_other_spellings_of_an_address_are_the_same_account(client: TestClient, email: str) -> None:
    body = {"email": "kéa.ßtwin@example.com", "password": PASSWORD}
    client.post("/api/auth/register", json=body)
    again = client.post("/api/auth/register", json={"email": email, "password": PASSWORD})
    assert code(again) == (409, "email_taken")
    assert log_in(client, email)


@pytest.mark.parametrize(
    "email",
    ["", "ann", "@example.com", "ann@", "a@b@c", "a b@example.com", "a\u200bb@example.com", "a\0@b",
     "a\r\n@b", "\ud800@b", "a\ufe0f@b", "a\u034f@b", "\u3164@b", "a\u00ad@b",
     "x" * 251 + "@b.c", "'; drop table users; --"],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_address_is_refused(client: TestClient, email: str) -> None:
    body = b'{"email": %s, "password": "correct horse battery"}' % ascii_json(email)
    headers = {"Content-Type": "application/json"}
    for path in ("register", "login"):
        answer = client.post(f"/api/auth/{path}", content=body, headers=headers)
        assert answer.status_code == 422, answer.text


def test_what_only_looks_like_an_address_is_another_account(client: TestClient) -> None:
    """The first letter of the second is Cyrillic."""
    for email in ("arial@example.com", "\u0430rial@example.com"):
        body = {"email": email, "password": PASSWORD}
        assert client.post("/api/auth/register", json=body).status_code == 201


def test_a_deleted_user_is_out_at_once(
    client: TestClient, make_person: MakePerson, module_database: Database
) -> None:
    ann = make_person("deleted")
    with psycopg.connect(module_database.owner) as connection:
        connection.execute("delete from users where id = %s", (ann.id,))
    assert code(me(client, ann.headers)) == ENDED
    assert code(refreshed(client, ann.refresh_token)) == ENDED


@pytest.fixture(params=[Registration.INVITE, Registration.CLOSED, None])
def other_policy(
    request: pytest.FixtureRequest, settings: Settings
) -> Iterator[tuple[Registration, TestClient]]:
    changed = settings.model_copy(update={"registration": request.param, "mirror": False})
    with TestClient(create_app(changed)) as client:
        yield request.param or Registration.INVITE, client


def test_registration_takes_an_invitation_or_is_closed(
    other_policy: tuple[Registration, TestClient], client: TestClient, make_person: MakePerson
) -> None:
    policy, limited = other_policy
    name = f"{policy}.{id(limited)}"
    owner = make_person(f"owner.{name}")
    project = client.post("/api/projects", json={"name": name}, headers=owner.headers).json()
    path = f"/api/projects/{project['id']}/invitations"
    secret = client.post(path, json={"role": "viewer"}, headers=owner.headers).json()["invitation"]
    body: dict[str, Any] = {"email": f"new.{name}@example.com", "password": PASSWORD}
    refusal = "invitation_needed" if policy is Registration.INVITE else "registration_closed"
    assert code(limited.post("/api/auth/register", json=body)) == (403, refusal)

    invited = limited.post("/api/auth/register", json={**body, "invitation": secret})
    if policy is Registration.CLOSED:
        assert code(invited) == (403, "registration_closed")
        return
    assert invited.status_code == 201
    found = me(client, bearer(log_in(client, body["email"])["access_token"])).json()["projects"]
    assert [(each["name"], each["role"]) for each in found] == [(name, "viewer")]
    again = {"email": f"again.{name}@example.com", "password": PASSWORD, "invitation": secret}
    assert code(limited.post("/api/auth/register", json=again)) == (404, "invalid_invitation")


def test_fields_that_there_are_not_are_refused(client: TestClient) -> None:
    body = {"email": "x@example.com", "password": PASSWORD, "role": "owner"}
    assert code(client.post("/api/auth/register", json=body)) == (422, "invalid_parameter")


def test_outcomes_are_counted(client: TestClient, make_person: MakePerson) -> None:
    make_person("counted")
    wrong = {"email": "counted@example.com", "password": "x" * 12}
    client.post("/api/auth/login", json=wrong)
    found = client.get("/metrics").text
    assert 'auth_outcomes_total{action="login",outcome="ok"}' in found
    assert 'auth_outcomes_total{action="login",outcome="wrong_credentials"}' in found
