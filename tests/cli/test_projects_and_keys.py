"""`tidemark project`, `tidemark key` and `tidemark expire`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cli import removal
from app.erasure import batches
from tests.cli.conftest import Tidemark
from tests.conftest import Database

OLD = (
    "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
    " select %s, gen_random_uuid(), '2020-01-01', 'ann', 'look' from generate_series(1, %s)"
)


def of(database: Database, statement: str, *values: Any) -> Any:
    with psycopg.connect(database.owner) as connection:
        cursor = connection.execute(statement, values)  # type: ignore[arg-type]
        return cursor.fetchone() if cursor.description else None


@pytest.fixture
def shop(tidemark: Tidemark, database: Database) -> Tidemark:
    """The command, with a project `shop` of 30 old events and two keys."""
    assert tidemark("project", "create", "shop").code == 0
    for scope in ("read", "ingest"):
        assert tidemark("key", "create", "--project", "shop", "--scope", scope).code == 0
    of(database, OLD, 1, 30)
    return tidemark


def states(shop: Tidemark) -> list[str]:
    lines = shop("key", "list", "--project", "shop").out.splitlines()
    return [line.split("\t")[-1].split(" ")[0] for line in lines]


def test_keys_are_listed_rotated_and_revoked(shop: Tidemark) -> None:
    listed = shop("key", "list", "--project", "shop").out.splitlines()
    first = listed[0].split("\t")
    assert (first[1], first[3], first[4]) == ("read", "never used", "valid")
    key_id = first[0]
    rotated = shop("key", "rotate", key_id, "--project", "shop", "--grace-hours", "0")
    assert rotated.out.startswith("tmk_read_")
    assert states(shop) == ["revoked", "valid", "valid"]
    assert shop("key", "revoke", "2", "--project", "shop").code == 0
    assert states(shop) == ["revoked", "revoked", "valid"]
    again = shop("key", "rotate", key_id, "--project", "shop", "--grace-hours", "1")
    assert (again.code, "make a new key" in again.err) == (1, True)
    unknown = shop("key", "revoke", "99", "--project", "shop")
    assert (unknown.code, unknown.err) == (
        1,
        "tidemark: This project has no key 99; `tidemark key list` shows its keys.\n",
    )


def test_a_project_is_deleted_with_all_that_is_its_own(shop: Tidemark, database: Database) -> None:
    assert shop("project", "create", "other").code == 0
    of(database, OLD, 2, 5)
    deleted = shop("project", "delete", "shop", "--yes")
    assert (deleted.code, deleted.out) == (
        0,
        "Project shop is deleted, and with it 30 events.\n",
    )
    assert shop("project", "list").out.splitlines() == ["other\tUTC\tmonday\tevents kept for ever"]
    assert of(database, "select count(*), min(project_id) from events") == (5, 2)
    assert of(database, "select count(*) from api_keys") == (0,)


def test_a_project_stays_unless_the_question_is_answered(
    shop: Tidemark, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = tmp_path / "answer"
    answer.write_text("n\n")
    with answer.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert shop("project", "delete", "shop").code == 130
    assert of(database, "select count(*) from events") == (30,)
    assert states(shop) == ["valid", "valid"]


def test_an_interrupted_deletion_lets_nobody_in_and_goes_on(
    shop: Tidemark, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAGES", 1)
    of(database, OLD, 1, 1_000)
    whole = batches.remove

    async def interrupted(*arguments: Any) -> Any:
        async for step in whole(*arguments):
            yield step
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal.batches, "remove", interrupted)
        ended = shop("project", "delete", "shop", "--yes")
    assert ended.code == 130
    assert "run it again to go on" in ended.err
    (rest,) = of(database, "select count(*) from events")
    assert 0 < rest < 1_030
    assert states(shop) == []
    deleted = shop("project", "delete", "shop", "--yes")
    assert deleted.out == f"Project shop is deleted, and with it {rest} events.\n"


def test_expire_removes_what_a_project_no_longer_keeps(shop: Tidemark, database: Database) -> None:
    assert shop("expire").out == "0 events are removed.\n"
    assert shop("project", "keep", "shop", "--days", "30").code == 0
    assert "events kept for 30 days" in shop("project", "list").out
    tried = shop("expire", "--dry-run").out.splitlines()
    assert tried[0].startswith("shop: 30 events before ")
    assert tried[1] == "30 events would be removed."
    assert of(database, "select count(*) from events") == (30,)
    assert shop("expire").out.splitlines()[1] == "30 events are removed."
    assert of(database, "select count(*) from events") == (0,)
    assert shop("project", "keep", "shop", "--forever").code == 0
    assert "events kept for ever" in shop("project", "list").out


@pytest.mark.parametrize("options", [(), ("--days", "3", "--forever"), ("--days", "0")])
def test_a_period_is_stated_once_and_possible(shop: Tidemark, options: tuple[str, ...]) -> None:
    assert shop("project", "keep", "shop", *options).code == 2
