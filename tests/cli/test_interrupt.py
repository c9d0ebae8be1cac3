"""Ctrl-C and kill in the middle of an import, by real signals to a real process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from tests.cli.conftest import Tidemark
from tests.conftest import Database

ROWS = 300_000
TIDEMARK = str(Path(sys.executable).parent / "tidemark")


@pytest.fixture
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    table = pa.table(
        {
            "event_id": [f"{number:08x}-0000-4000-8000-000000000000" for number in range(ROWS)],
            "occurred_at": pa.array(["2025-08-01T10:00:00Z"] * ROWS),
            "user_id": ["ann"] * ROWS,
            "event_type": ["login"] * ROWS,
        }
    )
    path = tmp_path / f"many.{request.param}"
    if request.param == "csv":
        pa.csv.write_csv(table, path)
    elif request.param == "parquet":
        pa.parquet.write_table(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


def stored(database: Database) -> int:
    with psycopg.connect(database.reader) as connection:
        (count,) = connection.execute("select count(*) from events").fetchone() or (0,)
    return int(count)


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("csv", signal.SIGINT),
        ("parquet", signal.SIGINT),
        ("ndjson", signal.SIGINT),
        ("csv", signal.SIGKILL),
    ],
    indirect=["file"],
)
def test_interrupted_import_leaves_whole_batches_and_runs_again(
    tidemark: Tidemark, database: Database, file: Path, number: signal.Signals
) -> None:
    assert tidemark("project", "create", "shop").code == 0
    command = [TIDEMARK, "import", str(file), "--project", "shop"]
    with subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True) as process:
        while stored(database) == 0 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    before = stored(database)
    assert 0 < before < ROWS
    if number is signal.SIGINT:
        assert process.returncode == 130
        told = re.fullmatch(r"tidemark: Interrupted after ([\d,]+) rows .*\n", err)
        assert told is not None
        assert int(told[1].replace(",", "")) == before

    report = json.loads(tidemark("import", str(file), "--project", "shop", "--json").out)
    assert stored(database) == ROWS
    assert (report["inserted"], report["duplicates"]) == (ROWS - before, before)
