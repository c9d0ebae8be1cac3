"""What holds of every answer: headers, ids, methods, bodies, crashes, and a line in the log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient

from app.edge import SMALL_BODY
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller

QUESTION = "/api/stats/dau?from=2025-08-01&to=2025-08-01&engine=postgres"


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """An app with routes that nothing else stands for."""
    app = create_app(settings.model_copy(update={"body_timeout": timedelta(seconds=0.2)}))

    @app.post("/echo")
    async def echo(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        return body

    @app.put("/echo")
    async def put() -> None: ...

    @app.get("/crash/{name}")
    async def crash(name: str) -> None:
        raise ZeroDivisionError(f"secret detail of {name}")

    @app.get("/greedy")
    async def greedy() -> None:
        bytearray(1 << 62)

    return app


@pytest.fixture
def own(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "app"):
        yield caplog


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/crash/x", QUESTION])
def test_every_answer_has_an_id_and_security_headers(own: TestClient, path: str) -> None:
    headers = own.get(path).headers
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


def test_over_https_browsers_are_told_to_stay_there(app: FastAPI) -> None:
    headers = TestClient(app, base_url="https://testserver").get("/healthz").headers
    assert headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("given", ["abc-123", "0af7651916cd43dd8448eb211c80319c", "a/b:c=="])
def test_a_callers_request_id_is_kept(own: TestClient, given: str) -> None:
    assert own.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "é", '"}{'])
def test_an_unfit_request_id_is_replaced(own: TestClient, given: str) -> None:
    answer = own.get("/healthz", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_head_answers_like_get_without_the_body(client: TestClient, caller: Caller) -> None:
    got, head = (client.request(m, QUESTION, headers=caller.read) for m in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.headers["content-length"] == got.headers["content-length"]


def test_options_says_what_a_path_takes(own: TestClient) -> None:
    asked = own.options("/echo")
    assert (asked.status_code, asked.headers["allow"]) == (204, "OPTIONS, POST, PUT")
    assert own.options("/healthz").headers["allow"] == "GET, HEAD, OPTIONS"
    assert own.options("/nowhere").status_code == 404


def test_a_method_that_a_path_does_not_take_hears_which_it_does(own: TestClient) -> None:
    refused = own.delete("/echo")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "OPTIONS, POST, PUT"
    assert "DELETE" in refused.json()["detail"]


def test_a_method_that_http_does_not_know_is_refused_alike(own: TestClient) -> None:
    refused = own.request("BREW", "/echo")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert refused.headers["allow"] == "OPTIONS, POST, PUT"
    assert own.request("BREW", "/nowhere").status_code == 404


def test_a_crash_is_logged_with_its_trace_and_tells_nothing(
    own: TestClient, logged: pytest.LogCaptureFixture
) -> None:
    from app.logs import formatter  # noqa: PLC0415

    logged.handler.setFormatter(formatter(as_json=True))
    answer = own.get("/crash/ann", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    lines = [json.loads(line) for line in logged.text.splitlines()]
    assert [line["request_id"] for line in lines] == ["mine", "mine"]
    assert "ZeroDivisionError: secret detail" in lines[0]["exception"]
    assert "secret" not in answer.text
    crashed, line = logged.records
    assert crashed.exc_info is not None
    assert crashed.message == "request.crashed"
    assert (line.message, line.__dict__["status"]) == ("request", 500)


def test_who_is_refused_for_want_of_memory_may_come_again(
    own: TestClient, logged: pytest.LogCaptureFixture
) -> None:
    answer = own.get("/greedy")
    assert (answer.status_code, answer.json()["code"]) == (503, "exhausted")
    assert answer.headers["Retry-After"] == "1"
    assert "MemoryError" in logged.text


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_refused(own: TestClient, chunked: bool) -> None:
    body = json.dumps({"x": "y" * SMALL_BODY}).encode()
    content = iter([body[:9], body[9:]]) if chunked else body
    headers = {"Content-Type": "application/json"}
    refused = own.post("/echo", content=content, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    fits = {"x": "y" * (SMALL_BODY - 100)}
    assert own.post("/echo", json=fits).json() == fits


async def test_a_body_that_is_too_slow_is_refused(app: FastAPI) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"x": '
        await asyncio.sleep(60)

    transport = httpx.ASGITransport(app)
    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        refused = await client.post("/echo", content=body(), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (408, "body_too_slow")
    assert refused.headers["connection"] == "close"


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 30_000, b'{"x": NaN'])
def test_a_body_that_is_no_json_is_refused(own: TestClient, body: bytes) -> None:
    refused = own.post("/echo", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code in {400, 422}
    assert refused.headers["content-type"] == "application/problem+json"


def test_documentation_is_shown_with_local_servers_only(settings: Settings) -> None:
    local = TestClient(create_app(settings, local=True))
    assert "cdn.jsdelivr.net" in local.get("/docs").headers["content-security-policy"]
    assert local.get("/openapi.json").status_code == 200
    given = TestClient(create_app(settings))
    assert {given.get(path).status_code for path in ("/docs", "/openapi.json", "/redoc")} == {404}


def test_a_request_is_a_line_that_says_who_asked_what(
    client: TestClient, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    from app.logs import formatter  # noqa: PLC0415

    caplog.handler.setFormatter(formatter(as_json=True))
    with caplog.at_level(logging.INFO, "app.request_log"):
        client.get(QUESTION, headers={**caller.read, "X-Request-ID": "mine"})
        client.get(QUESTION)
        client.get("/healthz")
        client.get("/crash")
    answered, refused, unknown = (json.loads(line) for line in caplog.text.splitlines())
    assert answered.pop("seconds") >= 0
    assert answered.pop("caller").startswith("key:")
    assert answered.pop("reason")
    assert answered.pop("timestamp")
    assert answered == {
        "event": "request",
        "level": "info",
        "request_id": "mine",
        "method": "GET",
        "path": "/api/stats/dau",
        "status": 200,
        "project": caller.project.id,
        "engine": "postgres",
        "address": "testclient",
    }
    assert (refused["status"], refused["code"]) == (401, "unauthenticated")
    assert "caller" not in refused
    assert (unknown["status"], unknown["path"]) == (404, "/crash")
    assert "from=" not in caplog.text
    assert caller.read["Authorization"] not in caplog.text


def test_nothing_of_a_path_that_may_name_people_is_logged(
    own: TestClient, logged: pytest.LogCaptureFixture
) -> None:
    own.get("/crash/ann?user=ann")
    paths = [record.__dict__["path"] for record in logged.records]
    assert paths == ["/crash/{name}", "/crash/{name}"]


def test_a_life_with_tidemark_leaves_no_secret_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """At any level, by any library: passwords, tokens, keys, invitations, addresses of people."""
    from app.logs import formatter  # noqa: PLC0415

    caplog.handler.setFormatter(formatter(as_json=True))
    ann = {"email": "logged@example.com", "password": "an unlikely password"}
    with caplog.at_level(logging.DEBUG):
        client.post("/api/auth/register", json=ann)
        client.post("/api/auth/login", json=ann | {"password": "another unlikely one"})
        tokens = client.post("/api/auth/login", json=ann).json()
        again = client.post(
            "/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
        ).json()
        headers = {"Authorization": f"Bearer {again['access_token']}"}
        made = client.post("/api/projects", json={"name": "logged"}, headers=headers).json()
        path = f"/api/projects/{made['id']}"
        key = client.post(f"{path}/keys", json={"scope": "read"}, headers=headers).json()
        invited = client.post(f"{path}/invitations", json={"role": "viewer"}, headers=headers)
        client.post("/api/invitations/accept", json={"invitation": "tmi_x"}, headers=headers)
        client.get(QUESTION, headers={"Authorization": f"Bearer {key['key']}"})
        client.delete(f"{path}/users/logged%40example.com/events", headers=headers)
    written = caplog.text
    assert f'"project":{made["id"]}' in written
    secrets = [*tokens.values(), *again.values(), *ann.values(), key["key"],
               invited.json()["invitation"], "another unlikely one"]  # fmt: skip
    assert [each for each in secrets if str(each) in written and len(str(each)) > 6] == []
