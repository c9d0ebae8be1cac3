"""The independently computed answers, through the command line and over HTTP.

Files are loaded by `tidemark import`; both ways then ask the same database. Every engine is held
against the same answers, and against shuffled files, in tests/contract.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.cli.main import run
from app.main import create_app
from app.settings import Settings
from tests.conftest import Database

SETS = ("git_rails", "rete_ecom")
Ask = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded data set: its project, its truth, and the two ways to ask about it."""

    project: str
    truth: dict[str, Any]
    ways: dict[str, Ask]
    owner: str

    def set_calendar(self, timezone: str = "UTC", week_start: str = "monday") -> None:
        with psycopg.connect(self.owner) as connection:
            connection.execute(
                "update projects set timezone = %s, week_start = %s where name = %s",
                (timezone, week_start, self.project),
            )


def command(*arguments: str) -> str:
    """What the command prints, run in this process."""
    capture = pytest.MonkeyPatch()
    with capture.context() as patch:
        written: list[str] = []
        patch.setattr(sys, "argv", ["tidemark", *arguments])
        patch.setattr("typer.echo", lambda text="": written.append(as_text(text)))
        with pytest.raises(SystemExit) as left:
            run()
        assert left.value.code in {None, 0}
    return "".join(written)


def as_text(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


@pytest.fixture(scope="module", params=SETS)
def loaded(
    request: pytest.FixtureRequest, module_database: Database, fixtures: Path
) -> Iterator[Loaded]:
    project: str = request.param
    truth = json.loads(gzip.decompress((fixtures / f"data/{project}.truth.json.gz").read_bytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", module_database.writer)
        patch.setenv("DATABASE_READER_URL", module_database.reader)
        command("project", "create", project)
        file = fixtures / f"data/{project}.csv.gz"
        report = json.loads(command("import", str(file), "--project", project, "--json"))
        rows = truth["totals"]["rows"]
        assert (report["inserted"], report["duplicates"], report["rejected"]) == (rows, 0, 0)
        key = command("key", "create", "--project", project, "--scope", "read").strip()
        settings = Settings(
            database_url=SecretStr(module_database.writer),
            database_reader_url=SecretStr(module_database.reader),
        )
        with TestClient(create_app(settings, local=True)) as client:

            def over_http(question: str, **parameters: Any) -> Any:
                headers = {"Authorization": f"Bearer {key}"}
                return client.get(
                    f"/api/stats/{question}", params=parameters, headers=headers
                ).json()

            def by_command(question: str, **parameters: Any) -> Any:
                options = [
                    word
                    for name, value in parameters.items()
                    for word in (f"--{name.replace('_', '-')}", str(value))
                ]
                return json.loads(
                    command("stats", question, "--project", project, "--json", *options)
                )["data"]

            yield Loaded(
                project, truth, {"http": over_http, "cli": by_command}, module_database.owner
            )


WAYS = ("http", "cli")
ENGINES = ("postgres", "attached")


def span(loaded: Loaded) -> dict[str, str]:
    """From the day before the first event to the day after the last, for any zone."""
    totals = loaded.truth["totals"]
    return {"from": f"{totals['first'][:4]}-01-01", "to": f"{totals['last'][:4]}-12-31"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("engine", "zone"),
    [
        *((engine, "UTC") for engine in ENGINES),
        ("postgres", "America/New_York"),
        ("attached", "Asia/Kolkata"),
        ("postgres", "Pacific/Auckland"),
    ],
)
def test_dau(loaded: Loaded, engine: str, zone: str, way: str) -> None:
    loaded.set_calendar(zone)
    truth = loaded.truth["dau"] if zone == "UTC" else loaded.truth["dau_tz"][zone]
    answer = loaded.ways[way]("dau", engine=engine, **span(loaded))
    assert {row["day"]: row["dau"] for row in answer if row["dau"]} == truth


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ENGINES)
def test_top_events(loaded: Loaded, engine: str, way: str) -> None:
    loaded.set_calendar()
    ask = loaded.ways[way]
    answer = ask("top-events", engine=engine, limit=1000, **span(loaded))
    assert [[row["event_type"], row["count"]] for row in answer] == [
        [name, count] for name, count, _ in loaded.truth["top_events"]
    ]
    year, truth = max(loaded.truth["top_events_by_year"].items())
    days = {"from": f"{year}-01-01", "to": f"{year}-12-31"}
    answer = ask("top-events", engine=engine, limit=1000, **days)
    assert [[row["event_type"], row["count"]] for row in answer] == [
        [name, count] for name, count, _ in truth
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("week_start", ["monday", "sunday"])
def test_retention(loaded: Loaded, week_start: str, engine: str, way: str) -> None:
    loaded.set_calendar(week_start=week_start)
    truth = loaded.truth["retention_week" if week_start == "monday" else "retention_week_sunday"]
    answer = loaded.ways[way]("retention", engine=engine, start_date=min(truth), window=9)
    found = {
        row["cohort"]: [cell["active"] for cell in row["weeks"]] for row in answer if row["size"]
    }
    assert set(found) == set(truth)
    for cohort, cells in truth.items():
        known = [(k, active) for k, active in enumerate(cells) if active is not None]
        assert [(k, found[cohort][k]) for k, _ in known] == known
