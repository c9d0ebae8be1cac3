"""The engines' shape: the same methods, a SQL file for each question, one rule who answers."""

from __future__ import annotations

import inspect
import re
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from analytics.engines.attached import AttachedEngine
from analytics.engines.choose import NAMES, Choice, Engines, choose
from analytics.engines.mirrored import BY_BITS, MirrorEngine
from analytics.engines.postgres import PostgresEngine
from analytics.engines.protocol import Engine
from analytics.errors import UnknownEngine
from analytics.events import ProjectId
from analytics.project import Project
from analytics.questions.dau import Dau
from analytics.questions.day_range import DayRange
from analytics.questions.question import Question
from analytics.questions.retention import Retention
from analytics.questions.top_events import TopEvents
from analytics.sql import statement
from analytics.sql.local_time import offset_us

KINDS = [PostgresEngine, AttachedEngine, MirrorEngine]
QUESTIONS = [Dau, TopEvents, Retention]
SHOP, DAYS = Project(ProjectId(1), "shop"), DayRange(date(2025, 8, 1), date(2025, 8, 2))
ASKED: list[Question] = [
    Dau(SHOP, DAYS),
    TopEvents(SHOP, DAYS),
    Retention(SHOP, DAYS.first, DAYS.last),
]
FOLDER = Path(str(files("analytics.sql")))
FILES = sorted(FOLDER.rglob("*.sql"))


@pytest.mark.parametrize("kind", KINDS)
def test_methods_are_those_of_the_protocol(kind: type) -> None:
    promised = {name: value for name, value in vars(Engine).items() if inspect.isfunction(value)}
    promised = {name: value for name, value in promised.items() if not name.startswith("_")}
    for name, function in promised.items():
        assert inspect.signature(getattr(kind, name)) == inspect.signature(function), name
        assert inspect.getdoc(getattr(kind, name))
    own = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
    assert {name for name in own if not name.startswith("_")} == set(promised)
    assert len(promised) + len(["name"]) <= 6


def test_every_engine_has_every_question_and_no_file_more() -> None:
    expected = {f"{kind.name}/{question.name}.sql" for kind in KINDS for question in QUESTIONS}
    expected |= {f"mirror/{question.name}.raw.sql" for question in QUESTIONS}
    expected |= {f"mirror/{name}.bits.sql" for name in BY_BITS}
    found = {f"{path.parent.name}/{path.name}" for path in FILES if path.parent.name in NAMES}
    assert found == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_file_opens_with_what_it_answers_takes_and_relies_on(path: Path) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith("--")]
    entries = [line.removeprefix("-- ").partition(": ") for line in head]
    assert [key for key, *_ in entries[:4]] == ["question", "answers", "takes", "relies on"]
    taken = set(re.findall(r"\w+", entries[2][2]))
    assert _parameters(statement(path.parent.name, path.stem)) <= taken


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_statement_names_its_owner_and_leaves_out_the_head(path: Path) -> None:
    sql = statement(path.parent.name, path.stem)
    assert sql.startswith(f"/* tidemark {path.parent.name} {path.stem} */\n")
    assert "--" not in sql
    assert sql == re.sub(r"\b(SELECT|FROM|WHERE|GROUP|ORDER)\b", str.lower, sql)


@pytest.mark.parametrize("question", ASKED, ids=lambda question: question.name)
def test_questions_give_every_parameter_that_files_take(question: Question) -> None:
    given = {*question.parameters(), "offset_us", "users"}
    names = [(engine, question.name) for engine in NAMES]
    names.append(("mirror", f"{question.name}.raw"))
    if question.name in BY_BITS:
        names.append(("mirror", f"{question.name}.bits"))
    for engine, name in names:
        assert _parameters(statement(engine, name)) <= given


def _parameters(sql: str) -> set[str]:
    """What a statement takes, in any of the three notations."""
    return {"".join(names) for names in re.findall(r"%\((\w+)\)s|\$(\w+)|\{(\w+)\}", sql)}


def test_zone_names_never_reach_sql() -> None:
    asked = Dau(Project(ProjectId(1), "shop", "Europe/Kyiv"), DAYS)
    assert "Kyiv" not in str(dict(asked.parameters()))
    assert not any("at time zone" in path.read_text().lower() for path in FILES)


def test_offsets_become_one_expression() -> None:
    assert offset_us([5], [-3600]) == "-3600000000"
    assert offset_us([1, 2, -3], [0, 60, -60]) == (
        "(case when us >= -3000000 then -60000000 when us >= 2000000 then 60000000 else 0 end)"
    )


@pytest.mark.parametrize("foreign", ["1; drop table events", 1.5, None])
def test_nothing_but_whole_numbers_gets_into_the_expression(foreign: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        offset_us([0, foreign], [0, 0])  # type: ignore[list-item]
    with pytest.raises((TypeError, ValueError)):
        offset_us([0], [foreign])  # type: ignore[list-item]


def test_rule_sends_counts_to_postgres_and_users_to_duckdb() -> None:
    assert [choose(question).engine for question in ASKED] == ["attached", "postgres", "attached"]
    assert {choose(question).reason for question in ASKED} == {
        "DuckDB counts distinct users faster",
        "counted where the events lie",
    }


@pytest.mark.parametrize("name", NAMES)
def test_engine_asked_for_answers(name: str) -> None:
    assert {choose(question, name) for question in ASKED} == {Choice(name, "asked for")}


@pytest.mark.parametrize("name", ["", "Postgres", "mirrored"])
def test_unknown_engine_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(UnknownEngine) as caught:
        choose(ASKED[0], name)
    allowed = "mirror, attached or postgres, or for none"
    assert str(caught.value) == f"{name!r} is no engine; ask for {allowed}"
    assert caught.value.field == "engine"


def test_engines_can_be_closed_without_having_connected() -> None:
    with Engines.connect("postgresql://nobody@127.0.0.1:1/nowhere") as engines:
        assert sorted(engines._live) == ["attached", "postgres"]
