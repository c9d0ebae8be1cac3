"""Whatever happens to file, process or Postgres: never a wrong answer, and all mends itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import duckdb
import psycopg
import pytest

from analytics.engines.choose import Engines
from analytics.errors import Unreachable
from analytics.mirror.errors import MirrorUnavailable
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Pace, Plan
from tests.conftest import Database
from tests.mirror.conftest import SHOP, WINDOW, Write, insert, superuser
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]
QUESTIONS = WINDOW.questions(SHOP)
FAST = Pace(
    shortest=timedelta(milliseconds=20),
    longest=timedelta(milliseconds=50),
    patience=timedelta(milliseconds=200),
)


class Kept:
    """A keeper at work in the background, and all engines."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.keeper = Keeper(Plan(folder, database.reader, database.owner, pace=FAST))
        self.engines = Engines.connect(database.reader, keeper=self.keeper)

    def agree(self) -> set[str]:
        """Whoever answers says what Postgres does; the names of who answered."""
        names = set()
        for question in QUESTIONS:
            answer = self.engines.answer(question)
            assert answer.rows == self.engines.answer(question, "postgres").rows
            names.add(answer.meta.engine)
        return names

    def until_mirrored(self) -> set[str]:
        """Ask until the mirror answers everything; all reasons given on the way."""
        reasons: set[str] = set()
        end = time.monotonic() + 30
        while self.agree() != {"mirror"}:
            reasons.add(self.engines.answer(QUESTIONS[0]).meta.reason)
            assert time.monotonic() < end, (reasons, self.keeper.status)
        return reasons


@pytest.fixture
def make_kept(database: Database) -> Iterator[Callable[[Path], Kept]]:
    made: list[Kept] = []

    def make(folder: Path) -> Kept:
        made.append(Kept(database, folder))
        made[-1].keeper.start()
        return made[-1]

    yield make
    for kept in made:
        kept.engines.close()
        kept.keeper.close()


def _sql(path: Path, *statements: str) -> None:
    with duckdb.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _spoil(path: Path) -> None:
    """Garbage in the middle, which only shows when it is read."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(range(256)) * ((path.stat().st_size - 4096) // 256))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"garbage" * 100_000),
    "spoiled": _spoil,
    "truncated": _truncate,
    "other format": lambda path: _sql(path, "update mirror set format = 0"),
    "older layout": lambda path: _sql(path, "alter table mirror drop column token"),
    "unfinished": lambda path: _sql(path, "delete from mirror"),
    "log of garbage": lambda path: path.with_name(f"{path.name}.wal").write_bytes(b"x" * 5000),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_built_anew(
    mirror: HandKept, connect: Write, make_kept: Callable[[Path], Kept], damage: str
) -> None:
    writer = connect()
    for user in ("ann", "bob", "cid"):
        insert(writer, user=user)
    mirror.open_or_build()
    [path] = mirror.home.files()
    mirror.close()
    DAMAGES[damage](path)
    insert(writer, user="dan")
    kept = make_kept(path.parent.parent)
    kept.until_mirrored()
    insert(writer, user="eve")
    assert kept.agree() == {"mirror"}


@pytest.mark.parametrize("damage", ["deleted", "empty", "garbage", "replaced"])
def test_file_damaged_while_it_is_open_is_built_anew(
    mirror: HandKept, connect: Write, make_kept: Callable[[Path], Kept], damage: str, tmp_path: Path
) -> None:
    writer = connect()
    insert(writer)
    kept = make_kept(tmp_path / "kept")
    kept.until_mirrored()
    [path] = kept.keeper.home.files()
    if damage == "replaced":
        shutil.copyfile(path, path.with_suffix(".copy"))
        path.with_suffix(".copy").rename(path)
    else:
        DAMAGES[damage](path)
    for number in range(20):
        insert(writer, user=f"user {number}")
        kept.agree()
    kept.until_mirrored()


def test_file_that_another_process_has_open_is_left_to_it(
    mirror: HandKept, connect: Write, make_kept: Callable[[Path], Kept]
) -> None:
    insert(connect())
    mirror.open_or_build()
    [path] = mirror.home.files()
    mirror.close()
    program = f"import duckdb; open = duckdb.connect({str(path)!r}); print(1, flush=True); input()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        kept = make_kept(path.parent.parent)
        kept.until_mirrored()
        assert path not in kept.keeper.home.files()
        other.communicate(b"\n")
    assert kept.agree() == {"mirror"}


def test_second_process_takes_a_folder_of_its_own(
    mirror: HandKept, connect: Write, exact: Exact, make_kept: Callable[[Path], Kept]
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    kept = make_kept(mirror.home.folder.parent)
    kept.until_mirrored()
    assert kept.keeper.home.folder != mirror.home.folder
    insert(writer, user="bob")
    exact()
    kept.agree()


def test_question_under_way_while_its_mirror_is_thrown_away_goes_elsewhere(
    mirror: HandKept, connect: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(connect())
    old = mirror.open_or_build()
    mirror.rebuild_now()
    with monkeypatch.context() as patch:
        # As between the look for the mirror and the first statement.
        patch.setattr(mirror, "store", lambda: old)
        with pytest.raises(MirrorUnavailable) as caught:
            mirror.engine.answer(QUESTIONS[0])
        assert caught.value.cause == "closed"
    assert mirror.engine.answer(QUESTIONS[0]).rows


def test_two_mirrors_of_one_process_spill_to_folders_of_their_own(
    mirror: HandKept, connect: Write
) -> None:
    """The old one may still answer while the new one is built, and files in there have numbers."""
    insert(connect())
    folders = set()
    for _ in range(2):
        with mirror.open_or_build().reading(timedelta(seconds=5)) as (cursor, _):
            folders.add(str(cursor.execute("select current_setting('temp_directory')").fetchone()))
        mirror.rebuild_now()
    assert len(folders) == 2


def test_mirror_built_while_a_question_reads_the_old_one_is_another_database(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    """In one process DuckDB gives whoever opens a path the database that is open there already."""
    writer = connect()
    insert(writer)
    old = mirror.open_or_build()
    count = "select count(*) from events"
    with old.reading(timedelta(seconds=20)) as (cursor, _):
        insert(writer, user="bob")
        mirror.rebuild_now()
        assert mirror.store().path != old.path
        assert cursor.execute(count).fetchone() == (1,)
        with mirror.store().reading(timedelta(seconds=5)) as (new, _):
            assert new.execute(count).fetchone() == (2,)
        exact()
        assert cursor.execute(count).fetchone() == (1,)
    with pytest.raises(MirrorUnavailable), old.reading(timedelta(seconds=5)):
        pass


def test_questions_never_fail_while_mirrors_come_and_go(
    mirror: HandKept, connect: Write, make_kept: Callable[[Path], Kept], tmp_path: Path
) -> None:
    insert(connect())
    kept = make_kept(tmp_path / "kept")
    kept.until_mirrored()
    failures: list[BaseException] = []
    over = Event()

    def ask() -> None:
        try:
            while not over.is_set():
                kept.agree()
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        kept.keeper.rebuild()
        time.sleep(0.15)
    over.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def test_postgres_gone_in_the_middle_of_a_sync_leaves_the_file_as_it_was(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    insert(writer, user="bob")
    before = mirror.state()
    with monkeypatch.context() as patch:
        patch.setattr("analytics.mirror.sync._arrived", lambda *_, **__: _cut(mirror))
        with pytest.raises(psycopg.OperationalError):
            mirror.sync()
    assert mirror.state() == before
    exact()
    mirror.sync()
    exact()


def _cut(mirror: HandKept) -> Any:
    """End every session of the mirror, and use one of them."""
    with superuser(mirror) as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 2000) from pg_stat_activity"
            " where application_name = 'tidemark mirror' and datname = current_database()"
        )
    raise psycopg.OperationalError("terminating connection due to administrator command")


def test_postgres_gone_in_the_middle_of_a_question_is_unreachable(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    insert(writer, user="bob")
    with monkeypatch.context() as patch:
        patch.setattr("analytics.mirror.look.read_counted", lambda *_: _cut(mirror))
        with pytest.raises(Unreachable):
            mirror.engine.answer(QUESTIONS[0])
    exact()


def test_postgres_gone_in_the_sync_before_an_answer_is_unreachable(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    mirror.open_or_build()
    insert(writer)
    with monkeypatch.context() as patch:
        patch.setattr("analytics.mirror.look.MOST_EVENTS", 0)
        patch.setattr("analytics.mirror.sync._arrived", lambda *_, **__: _cut(mirror))
        with pytest.raises(Unreachable):
            mirror.engine.answer(QUESTIONS[0])
    exact()
