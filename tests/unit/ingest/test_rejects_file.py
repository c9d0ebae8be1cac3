"""Rejects in a file that can be mended and loaded."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from analytics.errors import InvalidInput
from ingest.columns import ColumnOptions
from ingest.rejects import Code, Reject, Unit
from ingest.rejects_file import RejectsFile, free_path
from ingest.sources.formats import announced_by_name, open_stream
from ingest.sources.source import SourceOptions
from ingest.validate import Checked, validate
from tests.unit.ingest.rows import T0, check, csv_file, event_id, row

ROWS = [
    row(1, occurred_at="2025-08-01T10:15:00"),
    row(2, user_id="", properties='{"n":1.50}'),
    row(3, properties="{broken"),
    row(4)[:3],
]


def written(path: Path, checked: list[Checked], name: str = "events.csv") -> list[dict[str, Any]]:
    file = RejectsFile(path)
    for batch in checked:
        file.write(name, batch.rejects)
    file.close()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_the_row_and_why_it_was_rejected(tmp_path: Path) -> None:
    lines = written(tmp_path / "r.ndjson", check(csv_file(ROWS), max_rows=2))
    good = {"user_id": "ann", "event_type": "login", "properties": {"plan": "pro"}}
    assert lines[0] == {
        "event_id": event_id(1),
        "occurred_at": "2025-08-01T10:15:00",
        **good,
        "rejected_because": {
            "file": "events.csv",
            "position": 2,
            "unit": "line",
            "code": "naive_timestamp",
            "field": "occurred_at",
            "message": "occurred_at '2025-08-01T10:15:00' names no zone; add Z for UTC, or an"
            " offset like +02:00",
            "raw": f'{event_id(1)},2025-08-01T10:15:00,ann,login,"{{""plan"":""pro""}}"',
        },
    }
    assert "user_id" not in lines[1]
    assert lines[2]["properties"] == "{broken"
    assert list(lines[3]) == ["rejected_because"]
    assert lines[3]["rejected_because"]["raw"] == f"{event_id(4)},{T0},ann"
    assert '"n":1.50' in (tmp_path / "r.ndjson").read_text()


@pytest.mark.parametrize("options", [ColumnOptions(), ColumnOptions({"user_id": "uid"}, rest=True)])
def test_a_mended_file_is_read_again_whatever_the_options(
    tmp_path: Path, options: ColumnOptions
) -> None:
    lines = written(tmp_path / "r.ndjson", check(csv_file(ROWS[:3])))
    mended = {"occurred_at": T0, "user_id": "bob", "properties": {}}
    content = "\n".join(json.dumps({**line, **mended}) for line in lines).encode()
    stream = io.BytesIO(content)
    with open_stream(stream, announced_by_name("r.ndjson"), SourceOptions(options)) as source:
        (checked,) = map(validate, source.batches(10))
    assert checked.rejects == ()
    assert checked.events["user_id"].to_pylist() == ["bob"] * 3
    assert checked.events["properties"].to_pylist() == ["{}"] * 3


def test_an_object_keeps_the_fields_it_came_with(tmp_path: Path) -> None:
    content = (
        b'{"event_id":"x","plan":1e400,"n":1}\n{"event_id":"y","n":12345678901234567890123}\n[1'
    )
    with open_stream(io.BytesIO(content), announced_by_name("e.ndjson")) as source:
        lines = written(tmp_path / "r.ndjson", list(map(validate, source.batches(10))))
    assert [line.get("event_id") for line in lines] == [None, "y", None]
    assert lines[1]["n"] == 12345678901234567890123
    assert lines[2]["rejected_because"]["raw"] == "[1"


def test_without_rejects_there_is_no_file(tmp_path: Path) -> None:
    file = RejectsFile(tmp_path / "r.ndjson")
    file.close()
    assert not file.path.exists()


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    path.write_text("mended")
    with pytest.raises(InvalidInput, match=r"r\.ndjson is there already; name another file"):
        RejectsFile(path)


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    file = RejectsFile(tmp_path / "none" / "r.ndjson")
    reject = Reject(1, Unit.LINE, Code.MISSING_FIELD, "user_id", "it is empty", None, "x")
    with pytest.raises(InvalidInput, match="can't be written: No such file or directory"):
        file.write("events.csv", [reject])


def test_each_import_gets_a_file_of_its_own(tmp_path: Path) -> None:
    names = []
    for source in ("events.csv.gz", "events.csv.gz", "events.csv.gz.rejects.ndjson", "x.csv"):
        path = free_path(tmp_path, source)
        path.touch()
        names.append(path.name)
    assert names == [
        "events.csv.gz.rejects.ndjson",
        "events.csv.gz.rejects-2.ndjson",
        "events.csv.gz.rejects-3.ndjson",
        "x.csv.rejects.ndjson",
    ]
