"""SQL in every parameter that the API describes, and in every header that is looked at, is text.

What would be put into a statement would end it, or leave it broken, which is a crash.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote

import psycopg
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import PASSWORD, Caller, Person, bearer
from tests.conftest import Database

DESCRIBED: Final = create_app(Settings(), local=True).openapi()
# Ends what is quoted in any way, has every kind of placeholder, and passes for an e-mail address.
ENDS: Final = "'\";delete/**/from/**/events;--@$1:x%s{}\\"
TRUE: Final = "x'/**/or/**/'1'='1"
TABLES: Final = ("events", "users", "projects", "members", "api_keys", "invitations", "erasures")
HEADERS: Final = ("Authorization", "User-Agent", "If-None-Match", "Origin", "X-Forwarded-For",
                  "X-Request-ID", "Content-Type", "Content-Encoding", "Accept")  # fmt: skip
QUESTION: Final = "/api/stats/dau?from=2025-08-01&to=2025-08-01"

Request = dict[str, Any]


OPERATIONS: Final = [
    (method, path) for path, methods in DESCRIBED["paths"].items() for method in methods
]


def example(schema: Any) -> Any:
    """A value that fits a schema of a body."""
    schema = schema.get("anyOf", [schema])[0]
    if "$ref" in schema:
        return example(DESCRIBED["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return [example(schema["items"])] if "items" in schema else schema["example"]


def with_text(value: Any, text: str) -> Iterator[Any]:
    """The value with the text in the place of each of its parts."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            for changed in with_text(part, text):
                whole = copy.deepcopy(value)
                whole[key] = changed
                yield whole
    else:
        yield text


def requests(method: str, path: str, project_id: int, text: str) -> Iterator[Request]:
    """One for each parameter and each part of the body, which is the text."""
    about = DESCRIBED["paths"][path][method]
    parameters = about.get("parameters", [])
    good = {
        each["name"]: (each["schema"].get("examples") or [2147483647])[0]
        for each in parameters
        if each["required"]
    } | {"project_id": project_id}
    bodies = about.get("requestBody", {}).get("content", {}).get("application/json")
    body = example(bodies["schema"]) if bodies else None

    def request(values: dict[str, Any], body: Any) -> Request:
        filled = re.sub(r"{(\w+)}", lambda name: quote(str(values[name[1]]), safe=""), path)
        places = {each["name"]: each["in"] for each in parameters}
        query = {name: value for name, value in values.items() if places.get(name) == "query"}
        headers = {name: value for name, value in values.items() if places.get(name) == "header"}
        return {"url": filled, "params": query, "headers": headers, "json": body}

    for each in parameters:
        yield request(good | {each["name"]: text}, body)
    for changed in with_text(body, text) if body is not None else ():
        yield request(good, changed)


@pytest.fixture(scope="module")
def other(make_caller: Callable[..., Caller], client: TestClient) -> Caller:
    """A project that nobody here is asked about, with an event."""
    caller = make_caller("not asked about")
    event = {"event_id": "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e", "user_id": "ann",
             "occurred_at": "2025-08-01T10:15:00Z", "event_type": "login"}  # fmt: skip
    assert client.post("/api/events", json=[event], headers=caller.ingest).is_success
    return caller


@pytest.fixture(scope="module")
def owner(
    caller: Caller, make_person: Callable[[str], Person], join: Callable[..., None], other: Caller
) -> Person:
    person = make_person("owner")
    join(person, caller.project, "owner")
    return person


def rows(database: Database) -> dict[str, int]:
    """How many each table has."""
    counts = ", ".join(f"(select count(*) from {table})" for table in TABLES)
    with psycopg.connect(database.owner) as connection:
        found = connection.execute(f"select {counts}").fetchone() or ()  # type: ignore[call-overload]
    return dict(zip(TABLES, found, strict=True))


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_sql_in_a_parameter_is_text(
    client: TestClient, caller: Caller, owner: Person, new_session: Callable[[Person], str],
    module_database: Database, operation: tuple[str, str],
) -> None:  # fmt: skip
    asked = list(requests(*operation, caller.project.id, ENDS))
    session = bearer(new_session(owner)) | {"X-Project": str(caller.project.id)}
    before = rows(module_database)
    for request in asked:
        answer = client.request(operation[0], **request | {"headers": session | request["headers"]})
        assert answer.status_code < 500, answer.text
        assert "syntax" not in answer.text
    after = rows(module_database)
    assert [table for table in TABLES if after[table] < before[table]] == []


@pytest.mark.parametrize("text", [ENDS, TRUE, f"Bearer tmk_read_{ENDS}", f"Bearer tmk_read_{TRUE}"])
def test_sql_in_a_header_is_text(
    client: TestClient, caller: Caller, other: Caller, text: str, module_database: Database
) -> None:
    before = rows(module_database)
    for header in HEADERS:
        asked = client.get(QUESTION, headers={**caller.read, header: text})
        sent = client.post("/api/events", json=[], headers={**caller.ingest, header: text})
        assert {asked.status_code, sent.status_code} <= {200, 401, 415}, header
        assert (asked.status_code == 401) == (header == "Authorization")
    assert rows(module_database) == before
    assert client.get(QUESTION, headers=other.read).json()[0]["dau"] == 1


def test_sql_in_what_a_session_is_noted_with_is_text(
    client: TestClient, make_person: Callable[[str], Person]
) -> None:
    credentials = {"email": make_person("noted").email, "password": PASSWORD}
    headers = {"User-Agent": ENDS}
    tokens = client.post("/api/auth/login", json=credentials, headers=headers).json()
    seen = client.get("/api/auth/sessions", headers=bearer(tokens["access_token"])).json()
    assert ENDS in [each["user_agent"] for each in seen]
