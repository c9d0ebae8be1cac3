"""The server killed (-9) while it takes events, under an import, and in the middle of a sync."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.cli.test_up import TIDEMARK
from tests.faults.bulk import Bulk, as_csv
from tests.faults.stack import Stack
from tests.faults.traffic import LONGEST_SECONDS, Recovery, Traffic, events

Timed = Callable[..., Recovery]
ROWS = 150_000


def killed_and_started(stack: Stack, timed: Timed, fault: str) -> None:
    stack.service.kill()
    back = time.monotonic()
    stack.service.begin()
    timed(fault, back)


def test_server_killed_while_it_takes_events(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    stack.service.start()
    with traffic.flowing():
        bulk = Bulk(traffic, 30_000)
        bulk.start()
        time.sleep(0.3)
        killed_and_started(stack, timed, "Server killed (-9) while it takes events")
        bulk.join()
        bulk.send_until_taken()
    stack.require_exact(traffic)


@pytest.mark.slow
def test_server_killed_while_it_syncs(stack: Stack, traffic: Traffic, timed: Timed) -> None:
    """A sync that waits for somebody's lock on its lease is surely under way."""
    stack.service.start()
    with traffic.flowing():
        for _ in range(2):
            traffic.until_acknowledged(500)
            with psycopg.connect(stack.postgres.admin) as other:
                other.execute("select from mirror_leases for update")
                wait_for_lock(stack, "%tidemark mirror advance%")
                stack.service.kill()
            back = time.monotonic()
            stack.service.begin()
            timed("Server killed (-9) in a sync", back)
    stack.require_exact(traffic)
    assert stack.service.log.read_text().count("mirror.built") == 1, "a crash costs no mirror"


@pytest.mark.slow
@pytest.mark.parametrize("over_http", [True, False], ids=["over HTTP", "into the database"])
def test_import_goes_on_after_what_it_writes_to_was_killed(
    stack: Stack, traffic: Traffic, timed: Timed, folder: Path, over_http: bool
) -> None:
    """The server, or Postgres: the import itself sends again what was not answered."""
    stack.service.start()
    importing, ids = imports(stack, traffic, folder, over_http=over_http)
    with traffic.flowing():
        with importing() as running:
            wait_for_rows(stack, ids, ROWS // 10)
            if over_http:
                killed_and_started(stack, timed, "Server killed (-9) under an import")
            else:
                stack.postgres.kill()
                stack.postgres.start()
                timed("Postgres killed (-9) under an import")
            _, said = running.communicate(timeout=LONGEST_SECONDS)
        assert running.returncode == 0, said
        traffic.acknowledge(ids)
    stack.require_exact(traffic)


@pytest.mark.slow
def test_import_killed_itself_is_simply_run_again(
    stack: Stack, traffic: Traffic, folder: Path
) -> None:
    stack.service.start()
    importing, ids = imports(stack, traffic, folder, over_http=False)
    with importing() as running:
        wait_for_rows(stack, ids, ROWS // 10)
        running.kill()
    assert 0 < len(stack.ids()) < ROWS
    with importing() as again:
        _, said = again.communicate(timeout=LONGEST_SECONDS)
    assert again.returncode == 0, said
    assert stack.ids() == set(ids)
    stack.require_agreement()


def imports(
    stack: Stack, traffic: Traffic, folder: Path, *, over_http: bool
) -> tuple[Callable[[], subprocess.Popen[str]], list[str]]:
    """How to start an import of a large file, and its ids."""
    rows = events(700_000_000, ROWS)
    ids = [row["event_id"] for row in rows]
    traffic.expect(ids)
    file = folder / "events.csv"
    file.write_bytes(as_csv(rows))
    key = stack.service.keys["ingest"]["Authorization"].removeprefix("Bearer ")
    place = ("--url", stack.service.url) if over_http else ("--project", "shop")
    command = [TIDEMARK, "import", str(file), "--batch-size", "2000", *place]
    environment = {**os.environ, **stack.service.environment}
    if over_http:
        environment |= {"TIDEMARK_KEY": key}

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return begin, ids


def wait_for_rows(stack: Stack, ids: list[str], rows: int) -> None:
    """Until the import has written so many."""
    _until(stack, "select 1 from events where event_id = %s", ids[rows])


def wait_for_lock(stack: Stack, query: str) -> None:
    """Until somebody who runs such a statement waits for a lock."""
    waiting = (
        "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query ilike %s limit 1"
    )
    _until(stack, waiting, query)


def _until(stack: Stack, question: str, value: str) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    with psycopg.connect(stack.postgres.admin, autocommit=True) as admin:
        while admin.execute(question.encode(), [value]).fetchone() is None:
            assert time.monotonic() < end, stack.service.said()
            time.sleep(0.01)
