"""What the handbook tells people to type at night exists, and takes what it is given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import typer
import yaml

from app.cli.env_example import example
from app.cli.main import app
from app.database.migrate import upgrade
from app.settings import Settings
from tests.cli.conftest import Tidemark, tidemark
from tests.conftest import Database, _named

__all__ = ["tidemark"]  # the fixture

ROOT: Final = Path(__file__).parents[2]
OPERATIONS: Final = (ROOT / "docs/operations.md").read_text()
PAGES: Final = OPERATIONS + (ROOT / "docs/growth.md").read_text()
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def blocks() -> list[str]:
    """What is set off to be typed, without what is said about it, a line for each command."""
    typed = re.findall(r"^    (\S.*)$", re.sub(r"\\\n *", "", PAGES), re.MULTILINE)
    return [line.split("   ")[0].strip() for line in typed]


def said() -> list[str]:
    """All that stands between backticks, and what is set off."""
    quoted = [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", PAGES)]
    return [*quoted, *blocks()]


def compose_commands() -> list[list[str]]:
    found = [line for line in said() if line.startswith("docker compose ")]
    return [shlex.split(line.partition(" < ")[0])[2:] for line in found]


def tidemark_commands() -> list[list[str]]:
    """The command's arguments, wherever it is called."""
    found = [shlex.split(line)[1:] for line in said() if line.startswith("tidemark ")]
    for words in compose_commands():
        if words[0] == "exec" and "tidemark" in words[1:3]:
            found.append(words[words.index("tidemark") + 1 :])
        if words[0] == "run" and "--entrypoint" not in words:
            service = next(at for at, word in enumerate(words) if word in COMPOSE["services"])
            found.append(words[service + 1 :] or COMPOSE["services"][words[service]]["command"])
    return found


@pytest.mark.parametrize("words", tidemark_commands(), ids=" ".join)
def test_command_exists_and_takes_its_arguments(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    rest = ["1" if word == "N" else word for word in words]
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    if rest:  # otherwise it is spoken of, not typed
        command.make_context(command.name, rest)


def test_there_are_commands_of_both_kinds() -> None:
    assert ["doctor"] in tidemark_commands()
    assert ["mirror", "status"] in tidemark_commands()
    assert ["restore", "/backups/2026-11-24.tidemark"] in tidemark_commands()


@pytest.mark.parametrize("words", compose_commands(), ids=" ".join)
def test_compose_is_asked_for_services_that_it_has(words: list[str]) -> None:
    if "--profile" in words:
        profiles = {
            name for each in COMPOSE["services"].values() for name in each.get("profiles", ())
        }
        assert words[words.index("--profile") + 1] in profiles
    verb = next(
        word
        for word in words
        if word in {"up", "down", "exec", "run", "logs", "ps", "stop", "kill"}
    )
    if verb not in {"up", "down", "ps"}:
        assert set(words) & set(COMPOSE["services"])


def test_targets_files_and_settings_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)", PAGES):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(r"\b(?:ops|tests|docs)/[\w./-]+\w", PAGES):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", PAGES):
        assert name.lower() in Settings.model_fields or f"\n#{name}=" in example(), name


def test_statements_can_be_asked(database: Database) -> None:
    found = re.findall(r"^    (select (?:.|\n    )+?;)$", OPERATIONS, re.MULTILINE)
    assert len(found) == 3
    with psycopg.connect(database.admin, autocommit=True) as admin:
        for statement in found:
            admin.execute(statement.encode())


def test_a_lost_database_is_made_anew_as_the_handbook_says(
    tidemark: Tidemark, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the database of this test instead of `tidemark`, and without containers."""
    (typed,) = [words for words in compose_commands() if "psql" in words and "-c" in words]
    statements = [typed[at + 1] for at, word in enumerate(typed) if word == "-c"]
    assert tidemark("project", "create", "shop").code == 0
    file = str(tmp_path / "shop.tidemark")
    assert tidemark("backup", file).code == 0
    with psycopg.connect(database.owner) as owner:
        ((name,),) = owner.execute("select current_database()").fetchall()
    with psycopg.connect(_named(database.admin, "postgres"), autocommit=True) as admin:
        for statement in statements:
            admin.execute(re.sub(r"\btidemark(?!_owner)", name, statement).encode())
    try:
        upgrade(database.owner)
        answer = tidemark("restore", file)
        assert answer.code == 0, answer.err
        assert "shop" in tidemark("project", "list").out
    finally:
        with psycopg.connect(_named(database.admin, "postgres"), autocommit=True) as admin:
            admin.execute(f"drop database {name}_before".encode())
