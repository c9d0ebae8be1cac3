"""`tidemark up` as a newcomer meets it: a process in an empty folder with its own servers."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TIDEMARK = str(Path(sys.executable).parent / "tidemark")
SAMPLE_TOP_EVENTS = {"product_view", "catalog", "search", "home", "filter_results"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """An empty folder that the servers' unprivileged user may enter."""
    with tempfile.TemporaryDirectory(prefix="tidemark-up-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATABASE_", "REDIS_", "API_"))
    }
    return {**kept, "COLUMNS": "120", **more}


def once(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        check=False,
        args=[TIDEMARK, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def first_start(folder: Path) -> subprocess.CompletedProcess[str]:
    return once(folder, "up", "--once", "--port", "0")


def test_first_start_shows_three_tables_and_stops(
    first_start: subprocess.CompletedProcess[str],
) -> None:
    assert first_start.returncode == 0, first_start.stderr
    for title in ("Daily active users", "Top events", "Weekly retention"):
        assert title in first_start.stdout
    assert "2024-06-29 Sat" in first_start.stdout
    assert "product_view" in first_start.stdout


def test_everything_lies_in_the_data_directory(
    first_start: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert first_start.returncode == 0
    assert [path.name for path in folder.iterdir()] == [".tidemark"]
    keys = folder / ".tidemark" / "keys.json"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert set(json.loads(keys.read_text())) == {"ingest", "read"}


def test_second_start_loads_nothing_and_keeps_the_keys(
    first_start: subprocess.CompletedProcess[str], folder: Path
) -> None:
    keys = (folder / ".tidemark" / "keys.json").read_text()
    again = once(folder, "up", "--once", "--port", "0")
    assert again.returncode == 0, again.stderr
    assert (folder / ".tidemark" / "keys.json").read_text() == keys
    counted = json.loads(
        once(
            folder,
            "stats",
            "top-events",
            "--project",
            "sample",
            "--from",
            "2024-01-01",
            "--to",
            "2024-12-31",
            "--json",
        ).stdout
    )
    assert counted["data"][0] == {"event_type": "product_view", "count": 6851}


def test_curl_line_works_when_pasted_and_ctrl_c_stops_cleanly(
    first_start: subprocess.CompletedProcess[str], folder: Path, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [TIDEMARK, "up", "--port", "0"],
        cwd=folder,
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            curl = next(line for line in lines if "curl" in line).split("Try it", 1)[1].strip()
            days = json.loads(subprocess.check_output(shlex.split(curl), timeout=30))
            assert [day["day"] for day in days] == [f"2024-06-{day}" for day in range(23, 30)]
            assert list(tmp_path.iterdir()) == []  # also what is temporary lies in the home
            # A command beside it uses the servers that run already.
            assert once(folder, "project", "create", f"beside {time.time_ns()}").returncode == 0
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
    log = (folder / ".tidemark/logs/postgres.log").read_text()
    assert log.rstrip().endswith("database system is shut down")


def test_taken_port_is_one_line_that_names_the_flag(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finished = once(folder, "up", "--port", str(taken.getsockname()[1]))
    assert finished.returncode == 1
    assert finished.stderr.count("\n") == 1
    assert "--port" in finished.stderr


def test_data_directory_is_the_one_named(
    first_start: subprocess.CompletedProcess[str], folder: Path
) -> None:
    elsewhere = folder / ".tidemark"
    listed = once(
        Path("/"),
        "key",
        "create",
        "--project",
        "sample",
        "--scope",
        "read",
        TIDEMARK_HOME=str(elsewhere),
    )
    assert listed.returncode == 0, listed.stderr
