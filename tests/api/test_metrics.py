"""GET /metrics: what becomes of events, in numbers that add up."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.api.conftest import Caller
from tests.unit.ingest.rows import LINE, event_id

ROW = "{},2025-08-01T10:15:00Z,ann,login,\n"


def metrics(client: TestClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    pairs = re.findall(r"^([^#\s]\S*(?:\{[^}]*\})?) (\S+)$", answer.text, re.MULTILINE)
    return {name: float(value) for name, value in pairs}


@pytest.fixture
def fresh(settings: Settings) -> Any:
    """An app whose metrics are all at zero."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def test_every_event_is_counted_once_by_what_became_of_it(
    fresh: TestClient, make_caller: Any
) -> None:
    caller: Caller = make_caller(str(uuid4()))
    event = {"occurred_at": "2025-08-01T10:15:00Z", "user_id": "ann", "event_type": "login"}
    sent = [{**event, "event_id": event_id(n)} for n in (1, 2, 2)]
    assert fresh.post("/api/events", json=sent, headers=caller.ingest).is_success
    bad = [*sent, {**event, "event_id": event_id(3), "user_id": ""}, 7]
    assert fresh.post("/api/events", json=bad, headers=caller.ingest).status_code == 422
    skip = "/api/events?on_reject=skip"
    assert fresh.post(skip, json=bad, headers=caller.ingest).is_success
    headers = {**caller.ingest, "Content-Type": "text/csv"}
    body = LINE + "".join(ROW.format(event_id(n)) for n in (2, 3, 4)) + "nonsense\n"
    assert fresh.post(skip, content=body, headers=headers).is_success

    found = metrics(fresh)
    events = {name: value for name, value in found.items() if name.startswith("events_total")}
    assert events == {
        'events_total{outcome="inserted",source="json"}': 2,
        'events_total{outcome="duplicate",source="json"}': 1 + 3,
        'events_total{outcome="rejected",source="json"}': 2 + 2,
        'events_total{outcome="inserted",source="csv"}': 2,
        'events_total{outcome="duplicate",source="csv"}': 1,
        'events_total{outcome="rejected",source="csv"}': 1,
    }
    assert found['event_rejects_total{code="missing_field"}'] == 2
    assert found['event_rejects_total{code="not_an_object"}'] == 2
    assert found['event_rejects_total{code="wrong_cell_count"}'] == 1
    assert found['event_processing_seconds_count{source="json"}'] == 3
    assert found['event_processing_seconds_count{source="csv"}'] == 1
    assert found["inflight_jobs"] == 0
    # Two groups, the second of them with nothing new in it; one batch that met duplicates.
    assert found['event_batch_rows_count{way="insert"}'] == 2
    assert found['event_batch_rows_sum{way="insert"}'] == 2 + 2
    assert found['event_batch_rows_count{way="staged"}'] == 1


def test_requests_are_counted_by_route_and_nobodys_paths_are_kept(fresh: TestClient) -> None:
    for path in ("/api/nowhere", "/api/nowhere/else", "/healthz"):
        fresh.get(path)
    handlers = set(re.findall(r'handler="([^"]*)"', fresh.get("/metrics").text))
    assert handlers == {"none", "/healthz"}


def test_each_app_counts_for_itself(settings: Settings, fresh: TestClient) -> None:
    fresh.get("/healthz")
    with TestClient(create_app(settings)) as other:
        assert not [name for name in metrics(other) if "healthz" in name]
    assert [name for name in metrics(fresh) if "healthz" in name]
