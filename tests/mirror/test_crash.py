"""Killed at any step of a sync or a build, the mirror goes on from what lies on the disk."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.mirror.comparison import Comparison
from tests.mirror.conftest import AT, SHOP, WINDOW, Write, delete, insert
from tests.mirror.faults import Crash, Fault, struck
from tests.mirror.hand_kept import HandKept

ROOT = Path(__file__).parents[2]


def change(connect: Write) -> None:
    """Something for every table of the file: new users, late ones, moves, removals."""
    writer = connect()
    first = insert(writer, user="gone")
    insert(writer, user="ann", at=AT - timedelta(days=40))
    writer.execute("update events set event_type = 'buy' where user_id = 'ann'")
    delete(writer, first)
    insert(writer, user="new")


def goes_on(restarted: HandKept) -> None:
    """Exact before its first sync, and after it."""
    with closing(Comparison(restarted)) as comparison:
        comparison.check(SHOP, WINDOW.questions(SHOP))
        restarted.sync()
        assert restarted.verified().ok
        comparison.check(SHOP, WINDOW.questions(SHOP))


@pytest.mark.slow
@pytest.mark.parametrize("building", [False, True], ids=["sync", "build"])
def test_mirror_killed_at_any_step_goes_on(
    mirror: HandKept, connect: Write, tmp_path: Path, building: bool
) -> None:
    writer = connect()
    for user in ("ann", "bob", "gone"):
        insert(writer, user=user)
    mirror.open_or_build()
    for at in count(1):
        change(connect)
        remains = tmp_path / f"killed {at}"
        fault = Fault(at, mirror, remains)
        crashed = False
        try:
            with struck(fault):
                (mirror.rebuild_now if building else mirror.sync)()
        except Crash:
            crashed = True
        mirror.open_or_build()
        if not crashed:
            break
        with HandKept(mirror.database, remains) as restarted:
            restarted.open_or_build()
            goes_on(restarted)
    assert fault.steps >= 15


@pytest.mark.parametrize("at", [3, 7, 12, 17, 1000])
def test_process_killed_for_real_goes_on(
    mirror: HandKept, connect: Write, tmp_path: Path, at: int
) -> None:
    writer = connect()
    for user in ("ann", "bob", "gone"):
        insert(writer, user=user)
    mirror.open_or_build()
    mirror.close()
    change(connect)
    database = mirror.database
    folder = mirror._plan.folder
    command = [sys.executable, "-m", "tests.mirror.victim", database.reader, database.owner]
    done = subprocess.run(
        [*command, str(folder), str(at)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == (-9 if at < 1000 else 0), done.stderr
    with HandKept(database, folder) as restarted:
        restarted.open_or_build()
        goes_on(restarted)
