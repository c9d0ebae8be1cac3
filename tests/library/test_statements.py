"""SQL of an analyst's own: what it sees, and what it can't do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from analytics import Analytics
from analytics.duck import DuckLimits
from analytics.errors import InvalidSql
from tests.library.tables import table


@pytest.fixture(scope="module")
def held() -> Iterator[Analytics]:
    with Analytics.from_arrow(table(), timezone="Asia/Tokyo") as held:
        yield held


def test_views_have_human_names_and_local_days(held: Analytics) -> None:
    first, second = date(2025, 8, 1), date(2025, 8, 2)
    expected = {
        "events": [
            (datetime(2025, 8, 1, 10), first, "look", "ann"),
            (datetime(2025, 8, 1, 12), first, "look", "bob"),
            (datetime(2025, 8, 2, 10), second, "buy", "ann"),
        ],
        "users": [("ann", first), ("bob", first)],
        "user_days": [(first, "ann", 1), (first, "bob", 1), (second, "ann", 1)],
        "event_counts": [(first, "look", 2), (second, "buy", 1)],
        "active_users": [
            ("day", first, 2), ("day", second, 1), ("month", first, 2),
            ("week", date(2025, 7, 28), 2),
        ],
        "cohort_users": [
            ("day", first, first, 2), ("day", first, second, 1), ("month", first, first, 2),
            ("week", date(2025, 7, 28), date(2025, 7, 28), 2),
        ],
    }  # fmt: skip
    for view, rows in expected.items():
        assert held.sql(f"from {view} order by all").rows == tuple(rows)


def test_values_are_bound(held: Analytics) -> None:
    count = "select count(*) from events where user_id = "
    assert held.sql(f"{count}?", ["ann"]).rows == ((2,),)
    assert held.sql(f"{count}$who", {"who": "x' or true --"}).rows == ((0,),)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into events values (1)", "delete from users", "drop view events",
        "create table x (a int)",
        "set memory_limit = '1GB'", "attach 'x.db'", "load postgres_scanner", "begin", "checkpoint",
        "copy (select 1) to 'x.csv'", "select 1; select 2", "", "explain analyze delete from users",
        "from checkpoint()", "select * from enable_logging ('x', storage = 'file')",
        "call enable_logging('x')", "prepare x as select 1",
    ],
)  # fmt: skip
def test_statement_that_does_more_than_read_is_refused(held: Analytics, statement: str) -> None:
    with pytest.raises(InvalidSql, match=r"one SELECT over events, users|does more than read"):
        held.sql(statement)
    assert held.sql("select count(*) from events").rows == ((3,),)


@pytest.mark.parametrize(
    "statement",
    [
        "from read_csv('{file}')", "from '{file}'", "from read_text('{file}')", "from glob('/*')",
        "from read_parquet('https://example.org/x.parquet')", "from sniff_csv('{file}')",
        "from postgres_scan('host=127.0.0.1', 'public', 'events')",
    ],
)  # fmt: skip
def test_files_and_networks_are_out_of_reach(
    held: Analytics, statement: str, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    with pytest.raises(InvalidSql, match=r"can't be run: .*(disabled|install|exist)"):
        held.sql(statement.format(file=tmp_path / "x.csv"))


def test_variables_of_the_program_are_out_of_reach(held: Analytics) -> None:
    frame = table()
    assert frame.num_rows
    with pytest.raises(InvalidSql, match="frame does not exist"):
        held.sql("from frame")


def test_mistakes_are_told_with_what_there_is(held: Analytics) -> None:
    with pytest.raises(InvalidSql, match="The views are events, users, user_days"):
        held.sql("from evnts")
    with pytest.raises(InvalidSql, match='"usr" not found'):
        held.sql("select usr from events")
    with pytest.raises(InvalidSql, match="can't be read: Parser Error"):
        held.sql("selec 1")


def test_memory_is_limited() -> None:
    limits = DuckLimits(memory_megabytes=64, spill_megabytes=1)
    with (
        Analytics.from_arrow(table(), limits=limits) as held,
        pytest.raises(InvalidSql, match="more memory than it may have"),
    ):
        held.sql("select list(a.range) from range(20_000_000) a")


def test_answer_is_limited(held: Analytics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.statements.MOST_BYTES", 1 << 20)
    with pytest.raises(InvalidSql, match="larger than 1 MiB; count in SQL, or add a limit"):
        held.sql("from range(1_000_000)")


def test_plan_can_be_seen(held: Analytics) -> None:
    assert "AGGREGATE" in str(held.sql("explain select count(*) from events").rows)
    assert held.sql("explain analyze select count(*) from events").rows
