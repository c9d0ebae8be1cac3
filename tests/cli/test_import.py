"""`tidemark import`: many files, pipes, other columns, rehearsals and rejects."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from array import array
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Tidemark
from tests.conftest import Database
from tests.format_matrix import EVENTS, MATRIX

TIDEMARK = str(Path(sys.executable).parent / "tidemark")
CSV, NDJSON, PARQUET = (
    next(case for case in MATRIX if case.format == name and case.compression is None)
    for name in ("csv", "ndjson", "parquet")
)
PROJECT = ("--project", "shop")


@pytest.fixture
def shop(tidemark: Tidemark) -> Tidemark:
    assert tidemark("project", "create", "shop").code == 0
    return tidemark


def report(shop: Tidemark, *arguments: str, code: int = 0) -> dict[str, Any]:
    finished = shop("import", *arguments, *PROJECT, "--json")
    assert finished.code == code, finished.err
    document: dict[str, Any] = json.loads(finished.out)
    return document


def counts(document: dict[str, Any]) -> list[int]:
    return [document[name] for name in ("rows", "inserted", "duplicates", "rejected")]


def stored(database: Database, columns: str) -> list[Any]:
    with psycopg.connect(database.reader) as connection:
        connection.execute("set time zone 'UTC'")
        return connection.execute(
            f"select {columns} from events order by occurred_at, event_id".encode()
        ).fetchall()


def test_several_files_and_patterns_make_one_report(shop: Tidemark, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(CSV.of(EVENTS[:50]))
    (tmp_path / "a.csv").write_bytes(CSV.of(EVENTS[40:60]))
    (tmp_path / "c.parquet").write_bytes(PARQUET.of(EVENTS[60:]))
    found = report(shop, f"{tmp_path}/*.csv", f"{tmp_path}/c.parquet", f"{tmp_path}/b.csv")
    assert counts(found) == [310, 300, 10, 0]
    assert [(Path(part["file"]).name, part["inserted"]) for part in found["files"]] == [
        ("a.csv", 20),
        ("b.csv", 40),
        ("c.parquet", 240),
    ]
    assert found["rejects_file"] is None


def test_people_see_a_line_for_each_file_and_one_for_all(shop: Tidemark, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(CSV.of(EVENTS[:5]))
    lines = shop("import", f"{tmp_path}/?.csv", *PROJECT).out.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        f"{tmp_path}/a.csv: 5 rows: 5 inserted, 0 duplicates, 0 rejected",
        f"{tmp_path}/b.csv: 5 rows: 0 inserted, 5 duplicates, 0 rejected",
        "10 rows: 5 inserted, 5 duplicates, 0 rejected",
    ]


@pytest.mark.parametrize("packed", ["csv.gz", "csv", "parquet", "parquet.zst"])
def test_the_standard_input_is_read_as_it_is_said_to_be(
    shop: Tidemark, database: Database, packed: str
) -> None:
    (case,) = [case for case in MATRIX if case.name == f"events.{packed}"]
    command = [TIDEMARK, "import", "-", *PROJECT, "--format", packed, "--json"]
    run = subprocess.run(command, input=case.content, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    assert counts(json.loads(run.stdout)) == [300, 300, 0, 0]


def test_a_format_that_is_given_counts_more_than_the_name(shop: Tidemark, tmp_path: Path) -> None:
    (case,) = [case for case in MATRIX if case.name == "events.ndjson.gz"]
    (tmp_path / "dump.txt.gz").write_bytes(case.content)
    assert report(shop, f"{tmp_path}/dump.txt.gz", "--format", "ndjson")["inserted"] == 300


WAREHOUSE = """id,created,customer_id,action,country,amount
ord-1,2025-08-01 10:15:00,7,order,de,"9,50"
ord-2,2025-08-01 23:30:00.25,8,order,,
,2025-08-02 00:00:00,9,order,ua,1
"""
MAPPED = (
    "--map", "event_id=id", "--map", "occurred_at=created", "--map", "user_id=customer_id",
    "--map", "event_type=action", "--assume-timezone", "Europe/Kyiv", "--properties-from", "rest",
)  # fmt: skip


def test_a_warehouse_export_loads_by_its_own_names(
    shop: Tidemark, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").write_text(WAREHOUSE)
    found = report(shop, f"{tmp_path}/orders.csv", *MAPPED, code=3)
    assert counts(found) == [3, 2, 0, 1]
    assert stored(database, "occurred_at::text, user_id, event_type, properties") == [
        ("2025-08-01 07:15:00+00", "7", "order", {"country": "de", "amount": "9,50"}),
        ("2025-08-01 20:30:00.25+00", "8", "order", {}),
    ]
    assert counts(report(shop, f"{tmp_path}/orders.csv", *MAPPED, code=3)) == [3, 0, 2, 1]


def test_rejects_are_in_a_file_that_loads_when_it_is_mended(
    shop: Tidemark, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").write_text(WAREHOUSE)
    finished = shop("import", f"{tmp_path}/orders.csv", *PROJECT, *MAPPED)
    rejects = Path("orders.csv.rejects.ndjson")
    assert f"All 1 rejected rows are in {rejects}: mend them, and import that file" in finished.err
    (line,) = map(json.loads, rejects.read_text().splitlines())
    assert line["rejected_because"]["code"] == "missing_field"
    rejects.write_text(json.dumps({**line, "event_id": "ord-3"}))
    found = report(shop, str(rejects), "--assume-timezone", "Europe/Kyiv")
    assert counts(found) == [1, 1, 0, 0]
    assert stored(database, "user_id, properties")[2] == ("9", {"country": "ua", "amount": "1"})


def test_a_rejects_file_is_never_overwritten(shop: Tidemark, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(WAREHOUSE)
    for _ in range(2):
        report(shop, f"{tmp_path}/bad.csv", *MAPPED, code=3)
    assert sorted(path.name for path in Path().glob("*")) == [
        "bad.csv.rejects-2.ndjson",
        "bad.csv.rejects.ndjson",
    ]
    finished = shop("import", f"{tmp_path}/bad.csv", *PROJECT, "--rejects", f"{tmp_path}/bad.csv")
    assert finished.code == 1
    assert "is there already; name another file for the rejects" in finished.err


def test_files_without_ids_get_some_that_stay(shop: Tidemark, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "occurred_at,user_id,event_type\n" + "2025-08-01T10:15:00Z,ann,click\n" * 3
    )
    for expected in ([3, 3, 0, 0], [3, 0, 3, 0]):
        assert counts(report(shop, f"{tmp_path}/log.csv", "--event-id", "auto")) == expected


def test_a_dry_run_says_what_would_be_and_writes_nothing(
    shop: Tidemark, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").write_text(WAREHOUSE)
    found = report(shop, f"{tmp_path}/orders.csv", *MAPPED, "--dry-run", code=3)
    assert (counts(found), found["dry_run"]) == ([3, 2, 0, 1], True)
    finished = shop("import", f"{tmp_path}/orders.csv", *PROJECT, *MAPPED, "--dry-run")
    assert finished.out.startswith("Dry run, nothing was written: 3 rows: 2 inserted")
    assert stored(database, "1") == []


def test_an_event_of_the_far_future_is_rejected_by_a_setting(
    shop: Tidemark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late.csv").write_text(
        "event_id,occurred_at,user_id,event_type\nx,9999-01-01T00:00:00Z,ann,click\n"
    )
    assert counts(report(shop, f"{tmp_path}/late.csv", code=3)) == [1, 0, 0, 1]
    monkeypatch.setenv("MAX_EVENT_AHEAD", "P9999999D")
    assert counts(report(shop, f"{tmp_path}/late.csv")) == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-",), 1, "say what it is: --format csv"),
        (("none-*.csv",), 1, "No file matches none-*.csv"),
        (("x.csv", "--format", "xls"), 1, "ends in no known format"),
        (("x.csv", "--map", "user=uid"), 2, "'user=uid' maps nothing; write a column of an event"),
        (("x.csv", "--map", "user_id"), 2, "maps nothing"),
        (("x.csv", "--assume-timezone", "Europe/Kiew"), 2, "Europe/Kiev"),
        (("x.csv", "--properties-from", "all"), 2, "rest"),
        (("x.csv", "--batch-size", "0"), 2, "greater than or equal to 1"),
        (("x.csv", "--event-id", "auto", "--map", "event_id=id"), 2, "either mapped or made"),
    ],
)
def test_wrong_options_are_one_line(
    shop: Tidemark, arguments: tuple[str, ...], code: int, words: str
) -> None:
    finished = shop("import", *arguments, *PROJECT)
    assert (finished.code, finished.err.count("\n")) == (code, 1)
    assert words in finished.err


def test_a_broken_file_among_others_is_named(shop: Tidemark, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV.content)
    (tmp_path / "b.csv").write_text("1,2,3\n")
    finished = shop("import", f"{tmp_path}/a.csv", f"{tmp_path}/b.csv", *PROJECT)
    assert finished.code == 1
    assert f"{tmp_path}/b.csv: The header lacks event_id" in finished.err


def test_ctrl_c_ends_an_import_that_waits_for_a_pipe(shop: Tidemark, database: Database) -> None:
    lines = NDJSON.content.splitlines(keepends=True)
    command = [TIDEMARK, "import", "-", *PROJECT, "--format", "ndjson", "--batch-size", "10"]
    with subprocess.Popen(
        command, env=os.environ, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(lines[0][:-5])
        process.stdin.flush()
        wait_until_read(process.stdin.fileno())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert b"tidemark: Interrupted after 0 rows" in process.stderr.read()
    assert stored(database, "1") == []


def wait_until_read(pipe: int) -> None:
    """Until the other side has taken all that was written, and waits for more."""
    ends = time.monotonic() + 30
    left = array("i", [1])
    while left[0]:
        assert time.monotonic() < ends
        time.sleep(0.05)
        fcntl.ioctl(pipe, termios.FIONREAD, left)
    time.sleep(0.5)
