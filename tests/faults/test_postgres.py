"""Postgres stopped, killed, put back as it was, replaced by its replica, under traffic."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from app.local.home import Home
from tests.faults.bulk import Bulk
from tests.faults.stack import Stack
from tests.faults.test_server import wait_for_lock
from tests.faults.traffic import Recovery, Traffic

Timed = Callable[..., Recovery]


def test_postgres_restarted(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    stack.service.start()
    with traffic.flowing():
        stack.postgres.stop()
        time.sleep(1)
        stack.postgres.start()
        timed("Postgres stopped for a second")
    stack.require_exact(traffic)


@pytest.mark.slow
def test_postgres_killed(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    stack.service.start()
    with traffic.flowing():
        for _ in range(3):
            stack.postgres.kill()
            time.sleep(0.5)
            stack.postgres.start()
            timed("Postgres killed (-9)")
    stack.require_exact(traffic)


@pytest.mark.slow
def test_a_session_of_postgres_killed(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    """As the kernel does when memory is short: Postgres ends all sessions, and recovers."""
    stack.service.start()
    with traffic.flowing():
        stack.postgres.kill_a_session()
        while not stack.postgres.answers():
            time.sleep(0.01)
        timed("One process of Postgres killed (-9)")
    stack.require_exact(traffic)


@pytest.mark.slow
def test_postgres_away_for_long(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    """Whoever waits longer with each failure must not wait for long."""
    stack.service.start()
    with traffic.flowing():
        stack.postgres.stop()
        time.sleep(45)
        assert stack.service.readiness()["status"] == "not ready"
        stack.postgres.start()
        timed("Postgres away for 45 s")
    stack.require_exact(traffic)


@pytest.mark.slow
@pytest.mark.parametrize("stays", [True, False], ids=["service stays", "service restarts"])
def test_data_directory_put_back_while_the_mirror_ran_ahead(
    stack: Stack, traffic: Traffic, timed: Timed, folder: Path, stays: bool
) -> None:
    service, postgres = stack.service, stack.postgres
    postgres.stop()
    postgres.copy_files(folder / "older")
    postgres.start()
    service.start()
    with traffic.flowing():
        traffic.until_acknowledged(2_000)
        traffic.counts_no_more()
        if not stays:
            service.stop()
        postgres.stop()
        postgres.put_back(folder / "older")
        postgres.start()
        back = time.monotonic()
        if not stays:
            service.begin()
        timed(
            f"An older copy of Postgres put back ({'service stays' if stays else 'both anew'})",
            back,
        )
    assert traffic.wrong == []
    assert traffic.acknowledged > stack.ids(), "nothing was lost with what was put back"
    stack.require_agreement()
    assert service.logged("mirror.given_up", "token")


@pytest.mark.slow
def test_failover_to_a_replica(
    stack: Stack, traffic: Traffic, timed: Timed, new_home: Callable[[str], Home]
) -> None:
    replica = stack.postgres.follower(new_home("two"))
    try:
        stack.service.start()
        with traffic.flowing():
            traffic.until_acknowledged(500)
            stack.postgres.kill()
            replica.promote()
            stack.address.move(replica)
            timed("Postgres killed, its replica promoted")
        stack.require_exact(traffic)
        assert stack.service.logged("mirror.given_up", "timeline")
    finally:
        replica.stop()


@pytest.mark.slow
def test_connections_closed_in_the_middle_of_copy(
    stack: Stack, traffic: Traffic, timed: Timed
) -> None:
    """A COPY that waits for somebody's lock is surely in its middle when its session is ended."""
    stack.service.start()
    bulk = Bulk(traffic, 5_000)
    with traffic.flowing(), psycopg.connect(stack.postgres.admin) as other:
        other.execute(
            "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
            " values (1, %s, now(), 'other', 'x')",
            [bulk.ids[2_500]],
        )
        bulk.start()
        for _ in range(3):
            wait_for_lock(stack, "%copy%")
            stack.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where wait_event_type = 'Lock'"
            )
        other.rollback()
        bulk.join()
        timed("Connections closed in the middle of COPY")
    assert bulk.reply.status == 200
    assert bulk.reply.body["inserted"] == 5_000
    stack.require_exact(traffic)
