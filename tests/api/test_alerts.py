"""The alert rules and the dashboard ask for metrics, and labels' values, that the app has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from tests.api.conftest import Caller

ROOT = Path(__file__).parents[2]
FUNCTIONS = {
    "sum", "rate", "increase", "by", "histogram_quantile", "up", "job", "le", "status", "handler",
    "outcome", "code", "engine", "reason", "cause", "limit", "m", "h", "or", "pool",
}  # fmt: skip


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    board = json.loads((ROOT / "ops/grafana/dashboards/tidemark.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for rule in rules()]


@pytest.fixture(scope="module")
def exposed(client: TestClient, caller: Caller) -> set[str]:
    client.get("/api/stats/dau?from=2025-08-01&to=2025-08-01", headers=caller.read)
    text = client.get("/metrics").text
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        found |= {name} | ({f"{name}_bucket", f"{name}_count"} if kind == "histogram" else set())
    return found


@pytest.mark.parametrize("expression", expressions())
def test_metrics_that_are_asked_for_exist(expression: str, exposed: set[str]) -> None:
    bare = re.sub(r'"[^"]*"|\[[^]]*\]|\b\d\S*', "", expression)
    names = set(re.findall(r"[a-z_]+", bare)) - FUNCTIONS
    assert names <= exposed
    assert names or expression.startswith("up")


def test_every_alert_is_explained_in_the_handbook_and_none_else() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    names = [rule["alert"] for rule in rules()]
    assert re.findall(r"^### (Tidemark\w+)$", page, re.MULTILINE) == names
    assert set(re.findall(r"Tidemark[A-Z]\w+", page)) <= set(names)
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "ticket"}
