"""Each command's result, its help, and the one line it says when it can't."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tidemark

HEADER = "event_id,occurred_at,user_id,event_type,properties\n"
ROWS = (
    "00000000-0000-0000-0000-000000000001,2025-08-01T10:00:00Z,ann,login,{}\n"
    "00000000-0000-0000-0000-000000000002,2025-08-02T10:00:00Z,ann,login,{}\n"
    "00000000-0000-0000-0000-000000000003,2025-08-02T11:00:00Z,bob,buy,\n"
)
DAYS = ("--from", "2025-08-01", "--to", "2025-08-02")


@pytest.fixture
def shop(tidemark: Tidemark, tmp_path: Path) -> Tidemark:
    """The command, with a project `shop` that holds three events."""
    file = tmp_path / "events.csv"
    file.write_text(HEADER + ROWS)
    assert tidemark("project", "create", "shop").code == 0
    assert tidemark("import", str(file), "--project", "shop").code == 0
    return tidemark


def test_import_prints_exact_counts_as_json(tidemark: Tidemark, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(HEADER + ROWS)
    tidemark("project", "create", "shop")
    first = json.loads(tidemark("import", str(file), "--project", "shop", "--json").out)
    again = json.loads(tidemark("import", str(file), "--project", "shop", "--json").out)
    counts = ("rows", "inserted", "duplicates", "rejected")
    assert [first[name] for name in counts] == [3, 3, 0, 0]
    assert [again[name] for name in counts] == [3, 0, 3, 0]


def test_import_with_rejects_loads_the_rest_and_exits_with_3(
    tidemark: Tidemark, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_text(HEADER + ROWS + "some-id,yesterday,bob,buy,{}\n")
    tidemark("project", "create", "shop")
    finished = tidemark("import", str(file), "--project", "shop", "--json")
    report = json.loads(finished.out)
    assert finished.code == 3
    assert (report["inserted"], report["rejected"]) == (3, 1)
    assert "yesterday" in finished.err
    assert "line 5" in finished.err


@pytest.mark.parametrize("engine", [(), ("--engine", "postgres"), ("--engine", "attached")])
def test_stats_print_the_same_data_from_every_engine(
    shop: Tidemark, engine: tuple[str, ...]
) -> None:
    def ask(*question: str) -> object:
        return json.loads(shop("stats", *question, "--project", "shop", "--json", *engine).out)[
            "data"
        ]

    assert ask("dau", *DAYS) == [{"day": "2025-08-01", "dau": 1}, {"day": "2025-08-02", "dau": 2}]
    assert ask("top-events", *DAYS, "--limit", "1") == [{"event_type": "login", "count": 2}]
    (cohort,) = ask("retention", "--start-date", "2025-08-01", "--window", "1")
    assert (cohort["cohort"], cohort["size"]) == ("2025-07-28", 2)


def test_stats_say_in_meta_who_answered(shop: Tidemark) -> None:
    meta = json.loads(
        shop("stats", "dau", *DAYS, "--project", "shop", "--json", "--engine", "postgres").out
    )["meta"]
    assert (meta["engine"], meta["reason"], meta["lag_seconds"]) == ("postgres", "asked for", 0.0)


def test_stats_print_tables_for_people(shop: Tidemark) -> None:
    assert "2025-08-02 Sat" in shop("stats", "dau", *DAYS, "--project", "shop").out
    assert "login" in shop("stats", "top-events", *DAYS, "--project", "shop").out
    table = shop("stats", "retention", "--start-date", "2025-08-01", "--project", "shop").out
    assert "2025-07-28" in table
    assert "100.0" in table


def test_key_is_printed_alone(shop: Tidemark) -> None:
    out = shop("key", "create", "--project", "shop", "--scope", "read").out
    assert out.startswith("tmk_read_")
    assert len(out.split()) == 1


def test_migrate_checks_the_schema(tidemark: Tidemark) -> None:
    assert tidemark("migrate").out == "The schema is up to date.\n"
    assert tidemark("migrate", "--check").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("stats", "dau", "--project", "shop", "--from", "2025-08-02", "--to", "2025-08-01"),
            2,
            "2025-08-02",
        ),
        (
            ("stats", "dau", "--project", "shop", "--from", "1950-01-01", "--to", "2025-08-01"),
            2,
            "fifty years",
        ),
        (
            ("stats", "dau", "--project", "shop", "--from", "soon", "--to", "2025-08-01"),
            2,
            "write one like 2025-08-01",
        ),
        (("stats", "dau", "--project", "shop", *DAYS, "--engine", "abacus"), 2, "postgres"),
        (("stats", "dau", "--project", "nobody", *DAYS), 1, "nobody"),
        (("stats", "top-events", "--project", "shop", *DAYS, "--limit", "0"), 2, "limit"),
        (
            (
                "stats",
                "retention",
                "--project",
                "shop",
                "--start-date",
                "2025-08-01",
                "--window",
                "0",
            ),
            2,
            "window",
        ),
        (("stats", "dau", *DAYS), 2, "--project"),
        (("project", "create", "other", "--timezone", "Europe/Kiew"), 2, "Europe/Kiev"),
        (("project", "create", "other", "--week-start", "friday"), 2, "monday"),
        (("project", "create", ""), 2, "1 to 100 characters"),
        (("project", "create", "shop"), 1, "already"),
        (("key", "create", "--project", "shop", "--scope", "all"), 2, "ingest"),
        (("import", "nowhere.csv", "--project", "shop"), 1, "nowhere.csv"),
        (("fly",), 2, "fly"),
    ],
)
def test_wrong_input_is_one_line_and_an_exit_code(
    shop: Tidemark, arguments: tuple[str, ...], code: int, words: str
) -> None:
    finished = shop(*arguments)
    assert finished.code == code
    assert words in finished.err
    assert finished.err.startswith("tidemark: ")
    assert finished.err.count("\n") == 1
    assert finished.out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "header"),
        (b"1,2,3\n", "event_id"),
        (b"event_id,occurred_at,user_id\n", "event_type"),
        (b"event_id,user_id,event_type,event_id,occurred_at\n", "event_id"),
    ],
)
def test_file_without_the_columns_is_one_line_and_an_exit_code(
    shop: Tidemark, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "broken.csv"
    file.write_bytes(content)
    finished = shop("import", str(file), "--project", "shop")
    assert finished.code == 1
    assert words in finished.err
    assert finished.err.count("\n") == 1


def test_database_that_does_not_answer_is_one_line(
    tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
    finished = tidemark("project", "create", "shop")
    assert finished.code == 1
    assert finished.err.count("\n") == 1
    assert "nothing" not in finished.err


def test_setting_that_cannot_be_used_is_one_line(
    tidemark: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_PORT", "70000")
    finished = tidemark("project", "create", "shop")
    assert finished.code == 1
    assert "API_PORT" in finished.err
    assert finished.err.count("\n") == 1


COMMANDS = [
    ("up",),
    ("serve",),
    ("migrate",),
    ("import",),
    ("stats", "dau"),
    ("stats", "top-events"),
    ("stats", "retention"),
    ("project", "create"),
    ("key", "create"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(tidemark: Tidemark, command: tuple[str, ...]) -> None:
    finished = tidemark(*command, "--help")
    assert finished.code == 0
    assert f"tidemark {' '.join(command)}" in finished.out.split("Example", 1)[1]


def test_rows_survive_a_refused_file(shop: Tidemark, tmp_path: Path) -> None:
    file = tmp_path / "broken.csv"
    file.write_text(HEADER + ROWS + '"unclosed,2025-08-02T11:00:00Z,bob,buy,{}\n')
    shop("import", str(file), "--project", "shop")
    answer = json.loads(shop("stats", "dau", *DAYS, "--project", "shop", "--json").out)
    assert [row["dau"] for row in answer["data"]] == [1, 2]


@pytest.mark.parametrize("command", [(), ("stats",), ("project",), ("key",)], ids=" ".join)
def test_command_alone_shows_its_help(tidemark: Tidemark, command: tuple[str, ...]) -> None:
    finished = tidemark(*command)
    assert "Usage: tidemark" in finished.out
    assert (finished.code, finished.err) == (2, "")
