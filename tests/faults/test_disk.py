"""No room for the mirror, for temporary files, for rejects; then room again."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.cli.test_up import TIDEMARK
from tests.faults.bulk import Bulk, as_csv
from tests.faults.small_disk import SmallDisk, small_disk
from tests.faults.stack import Stack
from tests.faults.traffic import Recovery, Traffic, events

pytestmark = pytest.mark.slow

Timed = Callable[..., Recovery]


@pytest.fixture
def disk(folder: Path) -> Iterator[SmallDisk]:
    with small_disk(folder / "disk", megabytes=48) as disk:
        yield disk


def test_no_room_for_the_mirror(
    stack: Stack, traffic: Traffic, timed: Timed, disk: SmallDisk
) -> None:
    """Events are taken and questions answered meanwhile, by others where the mirror can't."""
    service = stack.service
    service.environment["MIRROR_DIRECTORY"] = str(disk.folder / "mirrors")
    fill_table(stack, 50_000, users=50_000)
    service.start()
    with traffic.flowing():
        disk.fill(service)
        service.until(lambda: service.logged("mirror.failed", "disk"))
        traffic.until_acknowledged(1_000)
        disk.make_room(service)
        timed("No room for a sync of the mirror")
        disk.fill(service)
        rebuild(stack)
        service.until(lambda: service.readiness()["status"] == "degraded")
        time.sleep(20)
        traffic.until_acknowledged(500)
        disk.make_room(service)
        timed("No room to build the mirror, for 20 s")
    assert {reply.status for reply in traffic.failures} <= {503}
    require_exact_beside(stack, traffic, 50_000)


def test_no_room_for_temporary_files(
    stack: Stack, traffic: Traffic, timed: Timed, disk: SmallDisk
) -> None:
    service = stack.service
    (disk.folder / "temporary").mkdir()
    service.environment["TEMP_DIRECTORY"] = str(disk.folder / "temporary")
    service.start()
    bulk = Bulk(traffic, 250_000)
    with traffic.flowing():
        disk.fill(service)
        bulk.start()
        bulk.join()
        assert bulk.reply.status == 503, service.said()
        assert bulk.reply.body["code"] == "no_room", bulk.reply
        assert not set(bulk.ids) & stack.ids()
        disk.make_room(service)
        timed("No room for temporary files")
        bulk.run()
    assert bulk.reply.status == 200, bulk.reply
    assert traffic.failures == []
    stack.require_exact(traffic)


def test_no_room_for_rejects(stack: Stack, folder: Path, disk: SmallDisk) -> None:
    """The import says so and stops; run again, it says of every row once what became of it."""
    good, bad = 30_000, 30_000
    rows = events(0, good)
    broken = [{**row, "occurred_at": "not a time"} for row in events(good, bad)]
    file = folder / "events.csv"
    file.write_bytes(as_csv([row for pair in zip(rows, broken, strict=True) for row in pair]))
    rejects = disk.folder / "rejects.ndjson"
    command = [TIDEMARK, "import", str(file), "--project", "shop", "--rejects", str(rejects)]
    command += ["--batch-size", "5000", "--json"]
    environment = {**os.environ, **stack.service.environment}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*disk.limits(), *command],
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    disk.fill()
    failed = run()
    assert failed.returncode == 1, failed.stderr
    assert "can't be written: " in failed.stderr
    assert "Traceback" not in failed.stderr
    disk.make_room()
    rejects.unlink(missing_ok=True)
    again = run()
    assert again.returncode == 3, again.stderr
    counts = orjson.loads(again.stdout)
    assert counts["inserted"] + counts["duplicates"] == good
    assert counts["rejected"] == bad == len(rejects.read_text().splitlines())
    assert stack.ids() == {row["event_id"] for row in rows}
    stack.service.start()
    stack.require_agreement()


def rebuild(stack: Stack) -> None:
    """As somebody types it into a terminal."""
    environment = {**os.environ, **stack.service.environment}
    command = [TIDEMARK, "mirror", "rebuild"]
    subprocess.run(command, env=environment, check=False, capture_output=True, timeout=60)


def fill_table(stack: Stack, rows: int, *, users: int) -> None:
    """Events that are there before the test begins, outside the range that it asks for."""
    stack.execute(
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " select 1, gen_random_uuid(), '2025-01-01'::timestamptz + n * interval '1 minute',"
        " repeat('long name ', 19) || n %% %s, 'look' from generate_series(1, %s) as n",
        users,
        rows,
    )


def require_exact_beside(stack: Stack, traffic: Traffic, others: int) -> None:
    """Everything acknowledged is there once, beside the rows that were there before."""
    assert traffic.wrong == []
    assert traffic.sent == traffic.acknowledged
    found = stack.ids()
    assert traffic.sent <= found
    assert len(found) == len(traffic.sent) + others
    stack.require_answers()
