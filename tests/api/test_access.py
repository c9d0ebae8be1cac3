"""Who gets in: every route needs a valid key of the right scope, or is open on purpose."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller
from tests.conftest import Database

OPEN = {"/healthz", "/readyz", "/metrics"}
SCOPES = {
    ("POST", "/api/events"): "ingest",
    ("GET", "/api/stats/dau"): "read",
    ("GET", "/api/stats/top-events"): "read",
    ("GET", "/api/stats/retention"): "read",
    ("GET", "/api/stats/cohort"): "read",
}
ROUTES = sorted(SCOPES)


def test_every_route_has_a_rule(settings: Settings) -> None:
    app = create_app(settings)
    found = {
        (method, context.path)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }
    assert {(method, path) for method, path in found if path not in OPEN} == set(SCOPES)
    assert {path for _, path in found} >= OPEN


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer "},
    ],
    ids=["none", "unknown", "other scheme", "empty"],
)
def test_no_valid_key_no_answer(
    client: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_key_of_the_other_scope_is_forbidden(
    client: TestClient, caller: Caller, method: str, path: str
) -> None:
    other = caller.read if SCOPES[method, path] == "ingest" else caller.ingest
    answer = client.request(method, path, headers=other)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


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
