"""Who gets in where: every route with every kind of caller, by one table of rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import SecretStr
from redis import Redis

from app.accounts.secret_key import secret_key
from app.accounts.sessions import SessionKey
from app.accounts.tokens import Claims, Signer, TokenType
from app.local.servers import ServerUrls
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller, Person, bearer
from tests.conftest import Database

OPEN = {"/healthz", "/readyz", "/metrics"}
# Nobody is signed in yet, or the body has what is needed.
OPEN_AUTH = {f"/api/auth/{name}" for name in ("register", "login", "refresh", "logout")}

SENDERS = {"ingest key", "owner", "member"}
ASKERS = {"read key", "owner", "member", "viewer"}
USERS = {"owner", "member", "viewer", "stranger"}
MEMBERS = {"owner", "member", "viewer"}
SENDING_MEMBERS = {"owner", "member"}
OWNERS = {"owner"}

PROJECT = "/api/projects/{project_id}"
# Who is let in. Whoever isn't gets 401 without a valid credential, 404 as a stranger to the
# project, 403 otherwise.
RULES = {
    ("POST", "/api/events"): SENDERS,
    ("GET", "/api/stats/dau"): ASKERS,
    ("GET", "/api/stats/top-events"): ASKERS,
    ("GET", "/api/stats/retention"): ASKERS,
    ("GET", "/api/stats/cohort"): ASKERS,
    ("POST", "/api/auth/logout-all"): USERS,
    ("POST", "/api/auth/change-password"): USERS,
    ("GET", "/api/auth/me"): USERS,
    ("GET", "/api/auth/sessions"): USERS,
    ("DELETE", "/api/auth/sessions/{session_id}"): USERS,
    ("GET", "/api/projects"): USERS,
    ("POST", "/api/projects"): USERS,
    ("POST", "/api/invitations/accept"): USERS,
    ("GET", PROJECT): MEMBERS,
    ("PATCH", PROJECT): OWNERS,
    ("DELETE", PROJECT): OWNERS,
    ("GET", "/api/deletions/{deletion_id}"): USERS,
    ("GET", f"{PROJECT}/members"): MEMBERS,
    ("PATCH", f"{PROJECT}/members/{{user_id}}"): OWNERS,
    ("DELETE", f"{PROJECT}/members/{{user_id}}"): OWNERS,
    ("POST", f"{PROJECT}/leave"): MEMBERS,
    ("GET", f"{PROJECT}/invitations"): OWNERS,
    ("POST", f"{PROJECT}/invitations"): OWNERS,
    ("DELETE", f"{PROJECT}/invitations/{{invitation_id}}"): OWNERS,
    ("GET", f"{PROJECT}/keys"): SENDING_MEMBERS,
    ("POST", f"{PROJECT}/keys"): SENDING_MEMBERS,
    ("POST", f"{PROJECT}/keys/{{key_id}}/rotate"): SENDING_MEMBERS,
    ("DELETE", f"{PROJECT}/keys/{{key_id}}"): SENDING_MEMBERS,
    ("DELETE", f"{PROJECT}/users/{{user_id:any}}/events"): OWNERS,
    ("GET", f"{PROJECT}/erasures/{{erasure_id}}"): OWNERS,
    ("GET", f"{PROJECT}/storage-period"): MEMBERS,
    ("PUT", f"{PROJECT}/storage-period"): OWNERS,
}
ROUTES = sorted(RULES)

NOBODY = [
    "no credential",
    "nonsense",
    "other scheme",
    "empty",
    "unknown key",
    "revoked key",
    "expired key",
    "expired token",
    "refresh token",
    "token of an ended session",
    "token of an earlier generation",
    "token of a deleted user",
    "token of another secret",
]
STRANGERS = ["stranger", "ingest key of another project", "read key of another project"]
KNOWN = ["owner", "member", "viewer", "ingest key", "read key"]


def test_every_route_has_a_rule(settings: Settings) -> None:
    app = create_app(settings)
    found = {
        (method, context.path)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }
    guarded = {(method, path) for method, path in found if path not in OPEN | OPEN_AUTH}
    assert guarded == set(RULES)
    assert {path for _, path in found} >= OPEN | OPEN_AUTH


@dataclass(frozen=True, slots=True)
class Cast:
    """A project, and a way to get the headers of every kind of caller; always fresh ones."""

    project: Caller
    headers: Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def cast(
    make_caller: Callable[..., Caller],
    make_person: Callable[[str], Person],
    new_session: Callable[[Person], str],
    join: Callable[..., None],
    servers: ServerUrls,
    module_database: Database,
) -> Cast:
    ours, theirs = make_caller("ours"), make_caller("theirs")
    voided = make_caller("voided keys")
    people = {name: make_person(name) for name in ("owner", "member", "viewer", "stranger", "gone")}
    with psycopg.connect(module_database.owner) as connection:
        for column, scope, value in (
            ("revoked_at", "read", "now()"),
            ("expires_at", "ingest", "now() - interval '1 second'"),
        ):
            connection.execute(
                f"update api_keys set {column} = {value} where project_id = %s and scope = %s",
                (voided.project.id, scope),
            )
        connection.execute("delete from users where id = %s", (people["gone"].id,))
    join(people["stranger"], theirs.project, "owner")
    signer, redis = Signer(secret_key(Settings())), Redis.from_url(servers.redis)

    def forged(person: str, *, minutes: float = 5, alive: bool = True, **changed: Any) -> str:
        session = SessionKey(people[person].id, "forged")
        redis.delete(session.entry)
        if alive:
            redis.hset(session.entry, "current", "none")
        claims = Claims(people[person].id, "forged", changed.get("generation", 0), "token")
        by = changed.get("signer", signer)
        kind = changed.get("kind", TokenType.ACCESS)
        return str(by.issue(kind, claims, timedelta(minutes=minutes)))

    def invalid(name: str) -> str:
        other = Signer("another secret of 32 bytes or more")
        made: dict[str, Callable[[], str]] = {
            "nonsense": lambda: "nonsense",
            "empty": lambda: "",
            "unknown key": lambda: f"tmk_read_{'x' * 43}",
            "expired token": lambda: forged("owner", minutes=-1),
            "refresh token": lambda: forged("owner", kind=TokenType.REFRESH),
            "token of an ended session": lambda: forged("owner", alive=False),
            "token of an earlier generation": lambda: forged("owner", generation=-1),
            "token of a deleted user": lambda: forged("gone"),
            "token of another secret": lambda: forged("owner", signer=other),
        }
        return made[name]()

    keys = {
        "ingest key": ours.ingest,
        "read key": ours.read,
        "ingest key of another project": theirs.ingest,
        "read key of another project": theirs.read,
        "revoked key": voided.read,
        "expired key": voided.ingest,
        "no credential": {},
        "other scheme": {"Authorization": "Basic YTpi"},
    }

    def headers(name: str) -> dict[str, str]:
        if name in {"owner", "member", "viewer"}:
            join(people[name], ours.project, name)
        if name in people:
            return bearer(new_session(people[name]))
        return keys[name] if name in keys else bearer(invalid(name))

    return Cast(ours, headers)


def asked(client: TestClient, cast: Cast, caller: str, method: str, path: str) -> Any:
    """The route's answer for our project. The body is none, so that nothing is changed."""
    filled = path.replace("{project_id}", str(cast.project.project.id))
    filled = re.sub(r"{\w+(:any)?}", "2147483647", filled)
    headers = cast.headers(caller)
    if "{project_id}" not in path:
        headers = {**headers, "X-Project": str(cast.project.project.id)}
    return client.request(method, filled, headers=headers)


@pytest.mark.parametrize("caller", NOBODY)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_is_let_in_without_a_valid_credential(
    client: TestClient, cast: Cast, method: str, path: str, caller: str
) -> None:
    answer = asked(client, cast, caller, method, path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_key_is_answered_as_one_that_was_revoked_or_has_expired(
    client: TestClient, cast: Cast
) -> None:
    answers = [
        asked(client, cast, key, "GET", "/api/stats/dau").json()
        for key in ("unknown key", "revoked key", "expired key")
    ]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("caller", STRANGERS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_another_s_project_is_not_there(
    client: TestClient, cast: Cast, method: str, path: str, caller: str
) -> None:
    answer = asked(client, cast, caller, method, path)
    if RULES[method, path] is USERS:
        assert (answer.status_code == 401) == ("key" in caller)
    else:
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_project")


@pytest.mark.parametrize("caller", KNOWN)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_roles_and_scopes_do_what_they_may_and_nothing_else(
    client: TestClient, cast: Cast, method: str, path: str, caller: str
) -> None:
    answer = asked(client, cast, caller, method, path)
    code = answer.json().get("code") if answer.content and answer.status_code >= 400 else None
    if caller in RULES[method, path]:
        assert answer.status_code not in {401, 403, 500}
        assert code not in {"unknown_project", "project_needed"}
    elif RULES[method, path] is USERS:
        assert (answer.status_code, code) == (401, "unauthenticated")
    else:
        assert (answer.status_code, code) == (403, "forbidden")


@pytest.fixture(scope="module")
def without_redis(client: TestClient, settings: Settings) -> Iterator[TestClient]:
    """A server whose Redis does not answer, beside the one whose does."""
    away = {"redis_url": SecretStr("redis://127.0.0.1:1/0"), "mirror": False}
    with TestClient(create_app(settings.model_copy(update=away))) as found:
        yield found


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_redis_only_keys_are_let_in_and_nonsense_is_still_nonsense(
    without_redis: TestClient, cast: Cast, method: str, path: str
) -> None:
    def outcome(caller: str) -> tuple[int, str | None]:
        answer = asked(without_redis, cast, caller, method, path)
        return answer.status_code, answer.json().get("code") if answer.is_error else None

    away, unknown = (503, "redis_unavailable"), (401, "unauthenticated")
    # Under /auth nobody gets as far as being asked who they are: each try is charged first.
    closed = path.startswith("/api/auth/")
    for signed_in in ("owner", "stranger"):
        assert outcome(signed_in) == away
    for nobody in ("unknown key", "token of another secret"):
        assert outcome(nobody) == (away if closed else unknown)
    for key in ("ingest key", "read key"):
        if key in RULES[method, path]:
            assert outcome(key)[0] not in {401, 403, 503}
        elif RULES[method, path] is USERS:
            assert outcome(key) == (away if closed else unknown)
        else:
            assert outcome(key) == (403, "forbidden")


def test_the_description_says_which_routes_take_a_credential() -> None:
    described = create_app(Settings(), local=True).openapi()
    (scheme,) = described["components"]["securitySchemes"]
    found = {
        (method.upper(), path): about
        for path, methods in described["paths"].items()
        for method, about in methods.items()
    }
    guarded = {route for route, about in found.items() if about.get("security") == [{scheme: []}]}
    assert {(method, re.sub(r":any", "", path)) for method, path in RULES} == guarded
    for route in guarded:
        assert {"401", "429", "503"} <= set(found[route]["responses"]), route


def test_a_removed_member_is_out_at_once(
    client: TestClient,
    make_caller: Callable[..., Caller],
    make_person: Callable[[str], Person],
    join: Callable[..., None],
    module_database: Database,
) -> None:
    person, project = make_person("removed"), make_caller("left behind").project
    join(person, project, "owner")
    question = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    named = {**person.headers, "X-Project": str(project.id)}
    routes = [(question, person.headers), (question, named), (f"{question}&project={project.id}",
              person.headers), (f"/api/projects/{project.id}", person.headers)]  # fmt: skip
    assert {client.get(path, headers=sent).status_code for path, sent in routes} == {200}
    with psycopg.connect(module_database.owner) as connection:
        connection.execute("delete from members where user_id = %s", (person.id,))
    assert {client.get(path, headers=sent).status_code for path, sent in routes} == {404}


@pytest.mark.parametrize(
    "change", ["revoked_at = now()", "expires_at = now() - interval '1 second'"]
)
def test_revoked_or_expired_key_is_refused_at_once(
    client: TestClient, make_caller: Any, module_database: Database, change: str
) -> None:
    caller = make_caller(f"key {change}")
    question = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    assert client.get(question, headers=caller.read).status_code == 200

    with psycopg.connect(module_database.owner) as connection:
        connection.execute(
            f"update api_keys set {change} where project_id = %s", (caller.project.id,)
        )
    assert client.get(question, headers=caller.read).status_code == 401


def test_key_itself_is_not_stored(caller: Caller, module_database: Database) -> None:
    key = caller.read["Authorization"].removeprefix("Bearer ")
    with psycopg.connect(module_database.owner) as connection:
        rows = connection.execute("select api_keys::text, key_hash from api_keys").fetchall()
    assert not any(key in text for text, _ in rows)
    assert hashlib.sha256(key.encode()).hexdigest() in {key_hash for _, key_hash in rows}


def test_project_sees_its_own_events_only(client: TestClient, make_caller: Any) -> None:
    one, other = make_caller("one"), make_caller("another")
    event = {
        "event_id": "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e",
        "occurred_at": "2025-08-01T10:15:00Z",
        "user_id": "ann",
        "event_type": "login",
    }
    assert client.post("/api/events", json=[event], headers=one.ingest).status_code == 200
    question = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    assert client.get(question, headers=one.read).json() == [{"day": "2025-08-01", "dau": 1}]
    assert client.get(question, headers=other.read).json() == [{"day": "2025-08-01", "dau": 0}]
