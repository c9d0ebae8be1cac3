"""The `tidemark` command, run in this process against a fresh database."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from app.cli.main import run
from tests.conftest import Database


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


Tidemark = Callable[..., Finished]


@pytest.fixture
def tidemark(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Tidemark:
    """Runs `tidemark ARGUMENTS` with DATABASE_URL and its fellows set to the test's database.

    In an empty folder, for an import with rejects leaves a file.
    """
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    monkeypatch.setenv("DATABASE_URL", database.writer)
    monkeypatch.setenv("DATABASE_OWNER_URL", database.owner)
    monkeypatch.setenv("DATABASE_READER_URL", database.reader)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def call(*arguments: str) -> Finished:
        monkeypatch.setattr(sys, "argv", ["tidemark", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run()
        captured = capsys.readouterr()
        code = left.value.code
        return Finished(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call
