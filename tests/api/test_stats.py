"""GET /stats: shapes, headers and refusals.

That the numbers are right is the contract suite's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from analytics.calendar import WeekStart
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller

ENGINES = ["postgres", "attached", "mirror"]


@pytest.fixture(scope="module")
def shop(client: TestClient, make_caller: Callable[..., Caller]) -> Caller:
    caller = make_caller("shop", "Europe/Kyiv", WeekStart.SUNDAY)
    times = [
        ("ann", "2025-08-02T20:59:59Z"),
        ("ann", "2025-08-02T21:00:00Z"),
        ("bob", "2025-08-11T09:00:00Z"),
    ]
    events = [
        {
            "event_id": f"{i:032x}",
            "occurred_at": at,
            "user_id": user,
            "event_type": "buy" if i else "look",
        }
        for i, (user, at) in enumerate(times)
    ]
    for event in events:
        number = event["event_id"]
        event["event_id"] = (
            f"{number[:8]}-{number[8:12]}-{number[12:16]}-{number[16:20]}-{number[20:]}"
        )
    assert client.post("/api/events", json=events, headers=caller.ingest).status_code == 200
    end = time.monotonic() + 30
    ready = "/api/stats/dau?from=2025-08-01&to=2025-08-01&engine=mirror"
    while client.get(ready, headers=caller.read).status_code != 200:
        assert time.monotonic() < end, "the mirror was never built"
        time.sleep(0.05)
    return caller


@pytest.mark.parametrize("engine", ENGINES)
def test_dau_counts_days_of_the_projects_zone(
    client: TestClient, shop: Caller, engine: str
) -> None:
    answer = client.get(
        f"/api/stats/dau?from=2025-08-01&to=2025-08-04&engine={engine}", headers=shop.read
    )
    assert answer.json() == [
        {"day": "2025-08-01", "dau": 0},
        {"day": "2025-08-02", "dau": 1},
        {"day": "2025-08-03", "dau": 1},
        {"day": "2025-08-04", "dau": 0},
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_top_events_are_counted_within_the_range(
    client: TestClient, shop: Caller, engine: str
) -> None:
    answer = client.get(
        f"/api/stats/top-events?from=2025-08-02&to=2025-08-03&engine={engine}", headers=shop.read
    )
    assert answer.json() == [{"event_type": "buy", "count": 1}, {"event_type": "look", "count": 1}]


@pytest.mark.parametrize("path", ["retention", "cohort"])
@pytest.mark.parametrize("engine", ENGINES)
def test_retention_uses_the_projects_weeks(
    client: TestClient, shop: Caller, path: str, engine: str
) -> None:
    answer = client.get(
        f"/api/stats/{path}?start_date=2025-07-29&window=2&engine={engine}", headers=shop.read
    )
    full, none = {"percent": 100.0, "complete": True}, {"percent": 0.0, "complete": True}
    assert answer.json() == [
        {
            "cohort": "2025-07-27",
            "size": 1,
            "weeks": [{"week": 0, "active": 1, **full}, {"week": 1, "active": 1, **full}],
        },
        {
            "cohort": "2025-08-03",
            "size": 0,
            "weeks": [
                {"week": 0, "active": 0, "percent": None, "complete": True},
                {"week": 1, "active": 0, "percent": None, "complete": True},
            ],
        },
        {
            "cohort": "2025-08-10",
            "size": 1,
            "weeks": [{"week": 0, "active": 1, **full}, {"week": 1, "active": 0, **none}],
        },
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_headers_say_who_answered_and_as_of_when(
    client: TestClient, shop: Caller, engine: str
) -> None:
    answer = client.get(
        f"/api/stats/dau?from=2025-08-01&to=2025-08-01&engine={engine}", headers=shop.read
    )
    assert answer.headers["tidemark-engine"] == engine
    expected = "the mirror's " if engine == "mirror" else "asked for"
    assert answer.headers["tidemark-reason"].startswith(expected)
    assert answer.headers["tidemark-lag-seconds"] == "0"
    assert answer.headers["tidemark-as-of"].endswith("Z")


def test_default_engine_gives_a_reason(client: TestClient, shop: Caller) -> None:
    answer = client.get("/api/stats/dau?from=2025-08-01&to=2025-08-01", headers=shop.read)
    assert answer.headers["tidemark-engine"] in ENGINES
    assert answer.headers["tidemark-reason"] not in {"", "asked for"}


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("dau?from=2025-08-02&to=2025-08-01", "invalid_question", "from"),
        ("dau?from=1950-01-01&to=2025-08-01", "invalid_question", "from"),
        ("dau?from=2025-08-01&to=2025-08-01&engine=abacus", "unknown_engine", None),
        ("top-events?from=2025-08-01&to=2025-08-01&limit=0", "invalid_question", "limit"),
        ("retention?start_date=2025-08-01&window=0", "invalid_question", "window"),
        ("retention?start_date=1950-08-01", "invalid_question", "start_date"),
    ],
)
def test_question_without_answer_is_refused(
    client: TestClient, shop: Caller, query: str, code: str, field: str | None
) -> None:
    answer = client.get(f"/api/stats/{query}", headers=shop.read)
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    if field:
        assert answer.json()["field"] == field


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("dau?to=2025-08-01", "from"),
        ("dau?from=yesterday&to=2025-08-01", "from"),
        ("dau?from=1700000000&to=2025-08-01", "from"),
        ("dau?from=2025-02-30&to=2025-08-01", "from"),
        ("dau?from=2025-08-01T00:00:00&to=2025-08-01", "from"),
        ("dau?from=2025-08-01&to=2025-08-01&zone=UTC", "zone"),
        ("top-events?from=2025-08-01&to=2025-08-01&limit=ten", "limit"),
    ],
)
def test_parameter_that_cannot_be_read_is_refused(
    client: TestClient, shop: Caller, query: str, field: str
) -> None:
    answer = client.get(f"/api/stats/{query}", headers=shop.read)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_answers_match_their_schema(client: TestClient, shop: Caller) -> None:
    paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    for path in ("dau", "top-events", "retention", "cohort"):
        responses = paths[f"/api/stats/{path}"]["get"]["responses"]
        assert set(responses) >= {"200", "401", "403", "422", "503"}
        assert "application/problem+json" in responses["401"]["content"]


@pytest.mark.parametrize("engine", ["postgres", "attached"])
def test_questions_are_asked_with_the_reader_s_address_alone(
    settings: Settings, shop: Caller, engine: str
) -> None:
    nowhere = {"database_reader_url": SecretStr("postgresql://nobody@127.0.0.1:1/nothing")}
    changed = settings.model_copy(update=nowhere | {"mirror": False})
    with TestClient(create_app(changed, local=True)) as client:
        question = f"/api/stats/dau?from=2025-08-01&to=2025-08-01&engine={engine}"
        assert client.get(question, headers=shop.read).status_code == 503
        assert client.post("/api/events", json=[], headers=shop.ingest).status_code == 200
