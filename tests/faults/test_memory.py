"""DuckDB without the memory that a question takes: Postgres answers it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.stack import Stack
from tests.faults.test_disk import fill_table, require_exact_beside
from tests.faults.traffic import Recovery, Traffic

Timed = Callable[..., Recovery]
ROWS = 500_000
DEAR = "/api/stats/dau?from=2025-01-01&to=2025-12-31"


@pytest.mark.slow
def test_too_little_memory_for_a_question(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    service = stack.service
    enough = dict(service.environment)
    service.environment |= {"MIRROR": "false", "DUCKDB_MEMORY_MB": "64", "DUCKDB_SPILL_MB": "0"}
    fill_table(stack, ROWS, users=ROWS)
    service.begin()
    service.until(lambda: service.readiness().get("status") == "ready")
    with traffic.flowing():
        for _ in range(3):
            refused = service.get(f"{DEAR}&engine=attached")
            assert (refused.status, refused.body["code"]) == (503, "exhausted")
            reply = service.get(DEAR)
            assert (reply.status, reply.engine) == (200, "postgres")
            assert "lacks memory" in reply.reason
        service.stop()
        service.environment = enough
        back = time.monotonic()
        service.begin()
        timed("Too little memory for DuckDB, then enough", back)
    require_exact_beside(stack, traffic, ROWS)
