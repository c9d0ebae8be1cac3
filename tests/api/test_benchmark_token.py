"""BENCHMARK_TOKEN passes as owner without a login, on a local server that has one, only there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller, bearer

TOKEN = "a token for measuring"
QUESTION = "/api/stats/dau?from=2025-08-01&to=2025-08-01"


@pytest.fixture(scope="module")
def measured(settings: Settings) -> Iterator[TestClient]:
    local = {"benchmark_token": SecretStr(TOKEN), "mirror": False}
    with TestClient(create_app(settings.model_copy(update=local), local=True)) as client:
        yield client


def test_it_passes_for_every_project(
    measured: TestClient, make_caller: Callable[..., Caller]
) -> None:
    one, two = make_caller("measured"), make_caller("measured too")
    for project in (one.project, two.project):
        headers = {**bearer(TOKEN), "X-Project": str(project.id)}
        assert measured.get(QUESTION, headers=headers).status_code == 200
        assert measured.post("/api/events", json=[], headers=headers).status_code == 200
    unnamed = measured.get(QUESTION, headers=bearer(TOKEN))
    assert unnamed.json()["code"] == "project_needed"


def test_it_is_no_user_and_no_other_token_passes(
    measured: TestClient, make_caller: Callable[..., Caller]
) -> None:
    project = make_caller("not measured").project
    assert measured.get("/api/auth/me", headers=bearer(TOKEN)).status_code == 401
    leave = measured.post(f"/api/projects/{project.id}/leave", headers=bearer(TOKEN))
    assert leave.json()["code"] == "unknown_member"
    for token in (TOKEN[:-1], TOKEN + "x", ""):
        assert measured.get(QUESTION, headers=bearer(token)).status_code == 401


def test_a_server_without_it_takes_none(client: TestClient) -> None:
    assert client.get(QUESTION, headers=bearer(TOKEN)).status_code == 401
