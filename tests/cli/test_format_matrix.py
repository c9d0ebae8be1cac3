"""Every format in every compression, from a real file into a real table by the command."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import Tidemark
from tests.conftest import Database
from tests.format_matrix import MATRIX, SIZE, STORED, Case


def stored(database: Database) -> list[tuple[object, ...]]:
    with psycopg.connect(database.reader) as connection:
        connection.execute("set time zone 'UTC'")
        return connection.execute(
            "select event_id, occurred_at, user_id, event_type, properties from events"
            " order by event_id"
        ).fetchall()


@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_a_file_of_any_format_is_in_the_table_once(
    tidemark: Tidemark, database: Database, tmp_path: Path, case: Case
) -> None:
    file = tmp_path / case.name
    file.write_bytes(case.content)
    tidemark("project", "create", "shop")
    reports = []
    for _ in range(2):
        finished = tidemark("import", str(file), "--project", "shop", "--json")
        assert finished.code == 0, finished.err
        reports.append(json.loads(finished.out))
    assert [(r["rows"], r["inserted"], r["duplicates"]) for r in reports] == [
        (SIZE, SIZE, 0),
        (SIZE, 0, SIZE),
    ]
    assert stored(database) == STORED


def test_the_matrix_holds_every_format_and_compression() -> None:
    assert len(MATRIX) == 18
