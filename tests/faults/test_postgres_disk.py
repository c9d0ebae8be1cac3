"""No room for Postgres: for its tables, where it refuses to write; for its log, where it ends."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.own_postgres import OwnPostgres, copy_owned
from tests.faults.small_disk import SmallDisk, small_disk
from tests.faults.stack import Stack
from tests.faults.traffic import Recovery, Traffic

pytestmark = pytest.mark.slow

Timed = Callable[..., Recovery]


@pytest.fixture
def disk(folder: Path) -> Iterator[SmallDisk]:
    with small_disk(folder / "disk", megabytes=256) as disk:
        if not disk.mounted:
            pytest.skip("only root may mount a small disk, and not in every container")
        yield disk


def test_no_room_for_tables(stack: Stack, traffic: Traffic, timed: Timed, disk: SmallDisk) -> None:
    """Events are refused with a reason, questions are answered; then all goes on by itself."""
    service = stack.service
    move(stack.postgres, stack.postgres.data, disk.folder / "data")
    service.start()
    with traffic.flowing():
        disk.fill()
        service.until(lambda: "not_writable" in {code for _, code in refusals(traffic)})
        time.sleep(5)
        assert service.readiness()["status"] == "ready", "it can still be asked"
        disk.make_room()
        timed("No room for Postgres's tables")
    assert refusals(traffic) == {(503, "not_writable")}
    stack.require_exact(traffic)


def test_no_room_for_the_write_ahead_log(
    stack: Stack, traffic: Traffic, timed: Timed, disk: SmallDisk
) -> None:
    """Postgres ends itself; whatever keeps it starts it again when there is room."""
    service, postgres = stack.service, stack.postgres
    move(postgres, postgres.data / "pg_wal", disk.folder / "pg_wal")
    service.start()
    with traffic.flowing():
        disk.fill()
        service.until(lambda: not postgres.answers())
        service.until(lambda: service.readiness().get("status") == "not ready")
        time.sleep(5)
        disk.make_room()
        postgres.stop()
        postgres.start()
        timed("No room for Postgres's write-ahead log")
    assert {status for status, _ in refusals(traffic)} == {503}, refusals(traffic)
    stack.require_exact(traffic)


def refusals(traffic: Traffic) -> set[tuple[int, str]]:
    """With what status and code requests were refused; each was told when to come again."""
    failures = list(traffic.failures)
    assert all(reply.retry_after for reply in failures if reply.status == 503)
    return {
        (reply.status, reply.body["code"] if isinstance(reply.body, dict) else str(reply.body))
        for reply in failures
    }


def move(postgres: OwnPostgres, files: Path, to: Path) -> None:
    """Files of Postgres onto another disk, as one does whose disk is small: by a link."""
    postgres.stop()
    copy_owned(files, to)
    shutil.rmtree(files)
    files.symlink_to(to)
    postgres.start()
