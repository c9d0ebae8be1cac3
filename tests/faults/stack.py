"""The whole of it for one test: Postgres, Valkey, the service, and what must hold in the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from tests.api.test_redis_faults import Valkey
from tests.conftest import Database
from tests.faults.own_postgres import Address, OwnPostgres
from tests.faults.service import Service
from tests.faults.traffic import LONGEST_SECONDS, QUESTIONS, TOTAL, Traffic


@dataclass
class Stack:
    """What runs, and by which addresses."""

    postgres: OwnPostgres
    address: Address
    database: Database
    redis: Valkey
    service: Service

    def ids(self) -> set[str]:
        """The ids that are in the table; its key lets each be there once."""
        with psycopg.connect(self.database.owner) as connection:
            found = connection.execute("select event_id::text from events").fetchall()
        assert len(found) == len(set(found))
        return {event_id for (event_id,) in found}

    def require_exact(self, traffic: Traffic | None = None) -> None:
        """Everything acknowledged is there once, and a mirror and SQL answer the same."""
        if traffic is not None:
            assert traffic.wrong == []
            found = self.ids()
            lost, unknown = traffic.acknowledged - found, found - traffic.sent
            assert not lost, f"{len(lost)} of {len(traffic.acknowledged)} are gone"
            assert not unknown, f"{len(unknown)} were never sent"
            assert traffic.sent == traffic.acknowledged
        self.require_agreement()

    def require_agreement(self) -> None:
        """Every engine answers the same, and counts every row of the table."""
        self.require_answers()
        assert sum(row["count"] for row in self._answered(TOTAL)) == len(self.ids())

    def require_answers(self) -> None:
        """Every engine answers the same, whichever is asked."""
        for question in QUESTIONS:
            by_sql = self._answered(f"{question}&engine=postgres")
            assert self._answered(f"{question}&engine=mirror") == by_sql
            assert self._answered(question) == by_sql

    def _answered(self, question: str) -> list[dict[str, int]]:
        end = time.monotonic() + LONGEST_SECONDS
        while (reply := self.service.get(question)).status != 200:
            assert time.monotonic() < end, f"{question}: {reply}\n{self.service.said()}"
            time.sleep(0.1)
        rows: list[dict[str, int]] = reply.body
        return rows

    def execute(self, statement: str, *parameters: object) -> None:
        """One statement as the superuser, by Postgres's own address."""
        with psycopg.connect(self.postgres.admin, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters or None)


def environment(
    database: Database, redis: Valkey, folder: str, base: Mapping[str, str]
) -> dict[str, str]:
    """The settings of a service in a test of faults."""
    return {
        **base,
        "DATABASE_URL": database.writer,
        "DATABASE_OWNER_URL": database.owner,
        "DATABASE_READER_URL": database.reader,
        "REDIS_URL": redis.url,
        "METRICS_TOKEN": "for-the-metrics-of-this-test",
        "MIRROR_DIRECTORY": f"{folder}/mirrors",
        "TIDEMARK_HOME": f"{folder}/home",
        "ACCESS_LOG": "false",
        "DUCKDB_MEMORY_MB": "256",
        "STATS_RATE_LIMIT": "1000000",
        "REGISTRATION": "open",
    }
