"""DuckDB without the memory that a mirror takes: questions are answered all the same."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.stack import Stack
from tests.faults.test_disk import fill_table, require_exact_beside
from tests.faults.traffic import QUESTIONS, Recovery, Traffic

Timed = Callable[..., Recovery]
ROWS = 500_000


@pytest.mark.slow
def test_too_little_memory_for_the_mirror(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    service = stack.service
    enough = service.environment["DUCKDB_MEMORY_MB"]
    service.environment |= {"DUCKDB_MEMORY_MB": "64", "DUCKDB_SPILL_MB": "0"}
    fill_table(stack, ROWS, users=ROWS)
    service.begin()
    service.until(lambda: service.logged("mirror.failed", "memory"))
    with traffic.flowing():
        for question in (*QUESTIONS, "/api/stats/dau?from=2024-01-01&to=2027-01-01"):
            by_sql = service.get(f"{question}&engine=postgres")
            assert by_sql.status == 200
            for engine in ("", "&engine=attached", "&engine=mirror"):
                reply = service.get(question + engine)
                assert reply.status in {200, 503}, reply
        service.stop()
        service.environment |= {"DUCKDB_MEMORY_MB": enough, "DUCKDB_SPILL_MB": "10240"}
        back = time.monotonic()
        service.begin()
        timed("Too little memory for DuckDB, then enough", back)
    require_exact_beside(stack, traffic, ROWS)
