"""Which source reads a file of which name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from analytics.errors import InvalidInput
from ingest.sources.formats import open_file
from tests.unit.ingest.rows import HEADER, cells, csv_file, row

CSV = csv_file([row(1)])
JSON = json.dumps([dict(zip(HEADER, row(1), strict=True)) | {"properties": {"plan": "pro"}}])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("events.csv", CSV),
        ("EVENTS.CSV", CSV),
        ("events.csv.gz", gzip.compress(CSV)),
        ("events.json", JSON.encode()),
        ("events.json.gz", gzip.compress(JSON.encode())),
    ],
)
def test_the_name_says_what_is_in_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with open_file(tmp_path / name) as source:
        assert [cells(batch) for batch in source.batches(10)] == [[tuple(row(1))]]


@pytest.mark.parametrize("name", ["events", "events.gz", "events.xlsx", "events.csv.zip"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput) as refused, open_file(tmp_path / name):
        pass
    assert str(refused.value) == (
        f"The name '{name}' ends in no known format; take .csv, .ndjson, .jsonl, .json, .arrow,"
        " .arrows, .feather, .parquet, .pq, each also with .gz or .zst"
    )


@pytest.mark.parametrize(("name", "why"), [("none.csv", "No such file"), ("dir.csv", "Is a dir")])
def test_a_file_that_can_not_be_opened_is_refused(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(InvalidInput, match=why), open_file(tmp_path / name):
        pass
