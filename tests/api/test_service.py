"""The service around the routes: health, problems, closing what was opened."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from analytics.errors import Unreachable
from app import lifespan
from app.main import create_app
from app.observability import Metrics
from app.settings import Settings
from tests.api.conftest import Caller
from tests.conftest import Database


def test_alive_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    parts = ready.json()["parts"]
    assert ready.json()["status"] == "ready"
    assert {**parts, "mirror": "?"} == dict.fromkeys(("postgres", "questions", "redis"), "ok") | {
        "mirror": "?"
    }


def test_ready_says_how_the_mirror_is(client: TestClient) -> None:
    end = time.monotonic() + 30
    while (answer := client.get("/readyz").json())["parts"]["mirror"] != "ok":
        assert answer["status"] == "ready", "a mirror being built holds nothing back"
        assert time.monotonic() < end
        time.sleep(0.05)
    while (mirror := client.get("/readyz").json()["mirror"])["lag_seconds"] is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert mirror["lag_seconds"] < 30
    assert mirror["tail_rows"] == 0


def test_degraded_without_redis_for_keys_go_on_working(settings: Settings) -> None:
    broken = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    with TestClient(create_app(broken)) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        parts = answer.json()["parts"]
        assert (
            {"redis"}
            <= {name for name, word in parts.items() if word != "ok"}
            <= {
                "redis",
                "mirror",
            }
        )


def test_not_ready_names_the_part(empty_database: Database) -> None:
    settings = Settings(database_url=SecretStr(empty_database.owner), mirror=False)
    with TestClient(create_app(settings)) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert answer.json()["parts"]["postgres"] == "UndefinedTableError"
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/api/events", 405, "method_not_allowed")],
)
def test_unknown_paths_and_methods_answer_as_problems(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (
        status,
        status,
        code,
    )


def test_crash_answers_as_a_problem_without_its_trace(settings: Settings) -> None:
    app = create_app(settings, local=True)

    @app.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError("secret detail")

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/crash")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


def test_connections_cut_by_the_server_cost_no_request(
    client: TestClient, caller: Caller, settings: Settings
) -> None:
    question = "/api/stats/dau?from=2025-08-01&to=2025-08-01"
    assert client.get(question, headers=caller.read).status_code == 200
    admin = settings.database_url
    assert admin is not None
    with psycopg.connect(admin.get_secret_value()) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user "
            "and datname = current_database() and pid <> pg_backend_pid()"
        )
    statuses = [client.get(question, headers=caller.read).status_code for _ in range(3)]
    assert statuses == [200, 200, 200]


async def test_resource_that_fails_to_open_closes_those_before_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: str, **_: object) -> None:
        raise Unreachable

    monkeypatch.setattr(lifespan.Engines, "connect", refuse)
    settings = Settings(database_url=SecretStr(database.writer))

    with pytest.raises(Unreachable):
        async with AsyncExitStack() as stack:
            await lifespan._open(settings, Metrics(), stack)
    with psycopg.connect(database.admin) as connection:
        others = (
            "select count(*) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        assert connection.execute(others).fetchone() == (0,)
