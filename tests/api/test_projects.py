"""Projects over HTTP: made, changed, joined and left, and which one a request is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import Caller, Person
from tests.conftest import Database

MakePerson = Callable[[str], Person]

EVENT = {
    "event_id": "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e",
    "occurred_at": "2025-08-03T23:30:00Z",
    "user_id": "ann",
    "event_type": "login",
}


@pytest.fixture(scope="module")
def owner(make_person: MakePerson) -> Person:
    make_person("first")  # whom the first project belongs to
    return make_person("owner")


@pytest.fixture(scope="module")
def guest(make_person: MakePerson) -> Person:
    return make_person("guest")


@pytest.fixture
def shop(client: TestClient, owner: Person, request: pytest.FixtureRequest) -> dict[str, Any]:
    answer = client.post("/api/projects", json={"name": request.node.name}, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def invited(client: TestClient, owner: Person, shop: dict[str, Any], role: str) -> str:
    path = f"/api/projects/{shop['id']}/invitations"
    answer = client.post(path, json={"role": role}, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["invitation"])


def accepted(client: TestClient, person: Person, secret: str) -> Any:
    body = {"invitation": secret}
    return client.post("/api/invitations/accept", json=body, headers=person.headers)


def members(client: TestClient, person: Person, shop: dict[str, Any]) -> list[tuple[str, str]]:
    found = client.get(f"/api/projects/{shop['id']}/members", headers=person.headers).json()
    return [(member["email"], member["role"]) for member in found]


def test_who_makes_a_project_owns_it(
    client: TestClient, owner: Person, shop: dict[str, Any]
) -> None:
    assert shop["role"] == "owner"
    assert members(client, owner, shop) == [("owner@example.com", "owner")]
    assert shop in client.get("/api/projects", headers=owner.headers).json()
    seen = client.get(f"/api/projects/{shop['id']}", headers=owner.headers).json()
    assert seen == {**shop, "storage_days": None}


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"name": ""}, (422, "invalid_parameter")),
        ({"name": "x" * 101}, (422, "invalid_parameter")),
        ({"name": "a\0b"}, (422, "invalid_parameter")),
        ({"name": 7}, (422, "invalid_parameter")),
        ({"name": "x", "timezone": "Mars/Olympus"}, (422, "unknown_zone")),
        ({"name": "x", "timezone": "../../etc/passwd"}, (422, "unknown_zone")),
        ({"name": "x", "week_start": "friday"}, (422, "invalid_parameter")),
        ({"name": "x", "id": 1}, (422, "invalid_parameter")),
    ],
)
def test_what_is_no_project_is_refused(
    client: TestClient, owner: Person, shop: dict[str, Any], body: Any, refusal: tuple[int, str]
) -> None:
    assert code(client.post("/api/projects", json=body, headers=owner.headers)) == refusal
    path = f"/api/projects/{shop['id']}"
    assert code(client.patch(path, json=body, headers=owner.headers)) == refusal


def test_a_name_is_taken_once(client: TestClient, owner: Person, shop: dict[str, Any]) -> None:
    body = {"name": shop["name"]}
    answer = client.post("/api/projects", json=body, headers=owner.headers)
    assert code(answer) == (409, "project_exists")


@pytest.mark.parametrize("name", ["'; drop table projects; --", "$$ || pg_sleep(9) || $$", "%s {}"])
def test_sql_in_a_name_is_a_name(client: TestClient, owner: Person, name: str) -> None:
    answer = client.post("/api/projects", json={"name": name}, headers=owner.headers)
    assert (answer.status_code, answer.json()["name"]) == (201, name)


def test_a_changed_zone_and_week_count_at_once(
    client: TestClient, owner: Person, shop: dict[str, Any]
) -> None:
    named = {**owner.headers, "X-Project": str(shop["id"])}
    assert client.post("/api/events", json=[EVENT], headers=named).status_code == 200
    path = f"/api/projects/{shop['id']}"
    change = {"name": "renamed", "timezone": "Europe/Kyiv", "week_start": "sunday"}
    answer = client.patch(path, json=change, headers=owner.headers)
    assert answer.json() == {**shop, **change}
    days = client.get("/api/stats/dau?from=2025-08-03&to=2025-08-04", headers=named).json()
    assert [day["dau"] for day in days] == [0, 1]
    question = "/api/stats/retention?start_date=2025-08-04&window=1"
    assert [each["cohort"] for each in client.get(question, headers=named).json()] == ["2025-08-03"]
    assert client.patch(path, json={}, headers=owner.headers).json() == {**shop, **change}


def test_an_invitation_lets_one_in_once(
    client: TestClient, owner: Person, guest: Person, shop: dict[str, Any], make_person: MakePerson
) -> None:
    secret = invited(client, owner, shop, "viewer")
    assert re.fullmatch(r"tmi_[A-Za-z0-9_-]{43}", secret)  # 256 bits, fit for a link
    assert code(accepted(client, owner, secret)) == (409, "already_member")
    joined = accepted(client, guest, secret)
    assert joined.json() == {**shop, "role": "viewer"}
    assert members(client, guest, shop) == [
        ("guest@example.com", "viewer"),
        ("owner@example.com", "owner"),
    ]
    assert code(accepted(client, make_person("late"), secret)) == (404, "invalid_invitation")


def test_two_who_accept_at_once_are_one_let_in(
    client: TestClient, owner: Person, shop: dict[str, Any], make_person: MakePerson
) -> None:
    secret = invited(client, owner, shop, "viewer")
    people = [make_person(f"race{number}") for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda person: accepted(client, person, secret).status_code, people)
    assert sorted(answers) == [200, 404]


def test_a_withdrawn_or_expired_invitation_lets_nobody_in(
    client: TestClient, owner: Person, guest: Person, shop: dict[str, Any],
    module_database: Database,
) -> None:  # fmt: skip
    path = f"/api/projects/{shop['id']}/invitations"
    withdrawn, expired = (invited(client, owner, shop, "member") for _ in range(2))
    first, second = client.get(path, headers=owner.headers).json()
    assert "invitation" not in first
    assert client.delete(f"{path}/{first['id']}", headers=owner.headers).status_code == 204
    again = client.delete(f"{path}/{first['id']}", headers=owner.headers)
    assert code(again) == (404, "unknown_invitation")
    with psycopg.connect(module_database.owner) as connection:
        connection.execute(
            "update invitations set expires_at = now() - interval '1 second' where id = %s",
            (second["id"],),
        )
    assert client.get(path, headers=owner.headers).json() == []
    for secret in (withdrawn, expired, "", "tmi_" + "x" * 43, "' or 1=1 --"):
        assert code(accepted(client, guest, secret)) == (404, "invalid_invitation")


def test_the_secret_of_an_invitation_is_not_stored(
    client: TestClient, owner: Person, shop: dict[str, Any], module_database: Database
) -> None:
    secret = invited(client, owner, shop, "member")
    with psycopg.connect(module_database.owner) as connection:
        rows = connection.execute("select invitations::text from invitations").fetchall()
    assert rows
    assert not any(secret in text for (text,) in rows)


def test_roles_change_and_members_go(
    client: TestClient, owner: Person, guest: Person, shop: dict[str, Any]
) -> None:
    accepted(client, guest, invited(client, owner, shop, "viewer"))
    path = f"/api/projects/{shop['id']}/members/{guest.id}"
    answer = client.patch(path, json={"role": "owner"}, headers=owner.headers)
    assert answer.json() == {"user_id": guest.id, "email": guest.email, "role": "owner"}
    assert client.delete(path, headers=owner.headers).status_code == 204
    assert code(client.delete(path, headers=owner.headers)) == (404, "unknown_member")
    assert members(client, owner, shop) == [("owner@example.com", "owner")]


def test_the_last_owner_stays(
    client: TestClient, owner: Person, guest: Person, shop: dict[str, Any]
) -> None:
    accepted(client, guest, invited(client, owner, shop, "member"))
    path = f"/api/projects/{shop['id']}"
    own = f"{path}/members/{owner.id}"
    refusals = [
        client.post(f"{path}/leave", headers=owner.headers),
        client.delete(own, headers=owner.headers),
        client.patch(own, json={"role": "member"}, headers=owner.headers),
    ]
    assert [code(answer) for answer in refusals] == [(409, "last_owner")] * 3
    promoted = {"role": "owner"}
    client.patch(f"{path}/members/{guest.id}", json=promoted, headers=owner.headers)
    assert client.post(f"{path}/leave", headers=owner.headers).status_code == 204
    assert members(client, guest, shop) == [("guest@example.com", "owner")]
    client.patch(f"{path}/members/{guest.id}", json={"role": "owner"}, headers=guest.headers)


def test_of_two_owners_who_leave_at_once_one_stays(
    client: TestClient, owner: Person, guest: Person, make_caller: Callable[..., Caller],
    join: Callable[..., None],
) -> None:  # fmt: skip
    for attempt in range(5):
        project = make_caller(f"two owners {attempt}").project
        for person in (owner, guest):
            join(person, project, "owner")
        path = f"/api/projects/{project.id}/leave"
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(
                lambda person, path=path: client.post(path, headers=person.headers).status_code,
                (owner, guest),
            )
        assert sorted(answers) == [204, 409]


def test_a_user_of_one_project_need_not_name_it(
    client: TestClient, make_person: MakePerson, make_caller: Callable[..., Caller],
    join: Callable[..., None],
) -> None:  # fmt: skip
    person, question = make_person("single"), "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    none = client.get(question, headers=person.headers)
    assert code(none) == (404, "unknown_project")
    one, two = (make_caller(name).project for name in ("one of two", "two of two"))
    join(person, one, "viewer")
    assert client.get(question, headers=person.headers).status_code == 200
    join(person, two, "viewer")
    assert code(client.get(question, headers=person.headers)) == (422, "project_needed")
    for project in (one, two):
        named = {**person.headers, "X-Project": str(project.id)}
        assert client.get(question, headers=named).status_code == 200
        by_query = client.get(f"{question}&project={project.id}", headers=person.headers)
        assert by_query.status_code == 200
    both = client.get(f"{question}&project={one.id}", headers=named)
    assert code(both) == (422, "project_needed")


@pytest.mark.parametrize("named", ["0", "-1", "2147483648", "9" * 5000, "1.5", "x", "' or 1=1 --"])
def test_what_is_no_project_id_is_refused(client: TestClient, owner: Person, named: str) -> None:
    question = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    headers = {**owner.headers, "X-Project": named}
    assert code(client.get(question, headers=headers)) == (422, "invalid_parameter")
    found = client.get(f"/api/projects/{named}", headers=owner.headers)
    assert code(found) == (422, "invalid_parameter")


def test_a_key_may_name_its_own_project_and_no_other(
    client: TestClient, make_caller: Callable[..., Caller]
) -> None:
    one, two = make_caller("key's own"), make_caller("key's other")
    question = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    for project, status in ((one.project, 200), (two.project, 404)):
        headers = {**one.read, "X-Project": str(project.id)}
        assert client.get(question, headers=headers).status_code == status


def test_events_sent_by_a_user_go_to_the_project_they_name(
    client: TestClient, owner: Person, shop: dict[str, Any], module_database: Database
) -> None:
    named = {**owner.headers, "X-Project": str(shop["id"])}
    answer = client.post("/api/events", json=[EVENT], headers=named)
    assert answer.headers["tidemark-project"] == str(shop["id"])
    with psycopg.connect(module_database.owner) as connection:
        statement = "select count(*) from events where project_id = %s"
        assert connection.execute(statement, (shop["id"],)).fetchone() == (1,)
