"""GET /metrics: what becomes of events, in numbers that add up."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from prometheus_client import Gauge
from pydantic import SecretStr, ValidationError

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
    with TestClient(create_app(settings, local=True), raise_server_exceptions=False) as client:
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
    with TestClient(create_app(settings, local=True)) as other:
        assert not [name for name in metrics(other) if "healthz" in name]
    assert [name for name in metrics(fresh) if "healthz" in name]


def labels(client: TestClient, name: str) -> set[str]:
    return set(re.findall(rf'{name}="([^"]*)"', client.get("/metrics").text))


def test_nobody_can_make_labels_of_their_own(fresh: TestClient) -> None:
    """Paths with a slash too many, and methods of one's own, are what made them once."""
    for number in range(5):
        fresh.get(f"/api/events{number}/")
        fresh.get(f"/healthz/{number}/")
        fresh.get("/api/stats/dau/", params={"from": str(number)})
        fresh.request(f"BREW{number}", "/healthz")
        fresh.post("/api/events", headers={"Content-Type": f"text/x{number}"})
    assert labels(fresh, "handler") == {"none", "/api/events"}
    assert labels(fresh, "method") == {"GET", "POST"}


TOKEN = "a-token-of-metrics"


def client_with(settings: Settings, *, token: str | None, local: bool) -> TestClient:
    secret = SecretStr(token) if token else None
    changed = settings.model_copy(update={"metrics_token": secret})
    return TestClient(create_app(changed, local=local))


def test_metrics_are_shown_to_who_has_the_token(settings: Settings) -> None:
    client = client_with(settings, token=TOKEN, local=False)
    good = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (good.status_code, good.headers["content-type"].split(";")[0]) == (200, "text/plain")
    for wrong in ("", TOKEN, f"Bearer {TOKEN}x", f"bearer {TOKEN[:-1]}", "Bearer é"):
        refused = client.get("/metrics", headers={"Authorization": wrong.encode()})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


def test_without_a_token_metrics_are_shown_with_local_servers_only(settings: Settings) -> None:
    closed = client_with(settings, token=None, local=False).get("/metrics")
    assert (closed.status_code, closed.json()["code"]) == (403, "forbidden")
    assert "METRICS_TOKEN" in closed.json()["detail"]
    assert client_with(settings, token=None, local=True).get("/metrics").status_code == 200
    assert client_with(settings, token=TOKEN, local=True).get("/metrics").status_code == 401


def test_a_short_token_is_refused_at_start() -> None:
    with pytest.raises(ValidationError):
        Settings(metrics_token=SecretStr("short"))


def test_pools_are_shown(fresh: TestClient) -> None:
    found = metrics(fresh)
    sizes = {name: value for name, value in found.items() if name.startswith("pool_size")}
    assert set(sizes) == {
        f'pool_size{{pool="{pool}"}}' for pool in ("events", "accounts", "questions", "threads")
    }
    assert min(sizes.values()) > 0
    assert found['pool_in_use{pool="questions"}'] == 0
    assert found['pool_waiting{pool="questions"}'] == 0


# Run by processes of their own: prometheus_client reads the variable when it is imported.
WORKER = """
import sys
from app.mirroring import MirrorMetrics
from app.observability import Metrics
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

number = int(sys.argv[1])
metrics = Metrics()
answers = MirrorMetrics(metrics.registry)
answers.tail.set(10 * number)
metrics.inflight.inc(number)
metrics.throttle.labels("events", "allowed").inc(number)
print("counted", flush=True)
sys.stdin.readline()
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(generate_latest(registry).decode(), flush=True)
"""


def test_any_of_several_workers_answers_for_all(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def start(number: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(number)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start(1) as one, start(2) as other:
        for worker in (one, other):
            assert worker.stdout is not None
            assert worker.stdout.readline() == "counted\n"
        answers, _ = one.communicate("\n", timeout=30)
        other.communicate("\n", timeout=30)
    assert 'throttle_decisions_total{limit="events",outcome="allowed"} 3.0' in answers
    assert "inflight_jobs 3.0" in answers
    assert "mirror_tail_rows 20.0" in answers


def test_every_gauge_says_how_workers_are_added_up(fresh: TestClient) -> None:
    """And of a live kind: what a worker that was killed held is gone."""
    gauges = [each for each in gc.get_objects() if isinstance(each, Gauge)]
    ours = [each for each in gauges if not each._name.startswith("python_")]
    assert {each._name for each in ours} >= {"inflight_jobs", "mirror_lag_seconds", "pool_size"}
    assert {each._multiprocess_mode for each in ours} <= {"livesum", "livemax", "livemin"}
