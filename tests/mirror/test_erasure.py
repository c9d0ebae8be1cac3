"""Somebody who was erased leaves the mirror's file: its rows, its dictionary, its free blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.engines.protocol import Freshness
from analytics.errors import TidemarkError
from analytics.mirror import lease
from analytics.mirror.errors import MirrorUnavailable
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Pace, Plan
from app.cli.project import in_transaction
from app.erasure import receipts
from app.erasure.receipts import Receipt
from tests.conftest import Database
from tests.mirror.conftest import SHOP, Write, insert
from tests.mirror.hand_kept import HandKept
from tests.mirror.machine import WINDOWS

# Random enough that no compression of strings takes it apart.
PERSON = "b7Qx0vLw9Zr4TjKm2HsYcNf8"
USERS = "select count(*) from users where user_id = ?"


def in_files(folder: Path, text: str) -> bool:
    """Whether any file below the folder holds the text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".duckdb" for path in files)
    return any(text.encode() in path.read_bytes() for path in files)


def in_dictionary(mirror: HandKept, user: str) -> bool:
    with mirror.store().reading(timedelta(seconds=5)) as (cursor, _):
        return cursor.execute(USERS, [user]).fetchone() != (0,)


def erase(database: Database, user: str) -> UUID:
    return asyncio.run(in_transaction(database.writer, lambda c: receipts.erase(c, SHOP.id, user)))


def receipt(database: Database, erasure_id: UUID) -> Receipt:
    async def read(connection: AsyncConnection) -> Receipt:
        return await receipts.receipt(connection, SHOP.id, erasure_id)

    return asyncio.run(in_transaction(database.writer, read))


def fill(connection: psycopg.Connection[Any], others: int = 300) -> None:
    for number in range(others):
        insert(connection, user=f"user {number}")
    insert(connection, user=PERSON)
    insert(connection, user=PERSON, kind="buy")


def test_a_new_file_never_held_the_erased(
    mirror: HandKept, connect: Write, exact: Callable[[], None], tmp_path: Path
) -> None:
    fill(connect())
    mirror.open_or_build().checkpoint()
    assert in_files(tmp_path, PERSON)
    assert in_dictionary(mirror, PERSON)
    assert not mirror.forget_erased()  # nobody was erased yet

    erasure_id = erase(mirror.database, PERSON)
    found = receipt(mirror.database, erasure_id)
    assert (found.events, found.done, found.log_pruned) == (2, False, False)
    assert found.mirrors == (1, 0, 0, 0)
    exact()

    mirror.sync()
    mirror.store().checkpoint()
    assert receipt(mirror.database, erasure_id).mirrors == (1, 1, 0, 0)
    assert in_files(tmp_path, PERSON)  # the rows are gone, the bytes are not

    assert mirror.forget_erased()
    mirror.store().checkpoint()
    assert not in_files(tmp_path, PERSON)
    assert not in_dictionary(mirror, PERSON)
    assert in_dictionary(mirror, "user 7")
    exact()
    mirror.sync()
    assert lease.prune(connect(), most=1) == 1
    assert not receipt(mirror.database, erasure_id).log_pruned  # one of both is left
    mirror.prune()
    found = receipt(mirror.database, erasure_id)
    assert (found.mirrors, found.log_pruned, found.done) == ((1, 1, 1, 0), True, True)
    assert not mirror.forget_erased()  # once is enough
    assert mirror.verified().differences == ()


def test_a_file_is_not_clean_while_a_transaction_could_still_bring_the_events_into_it(
    mirror: HandKept, connect: Write
) -> None:
    fill(connect())
    mirror.open_or_build()
    open_transaction = connect(open_transaction=True)
    erasure_id = erase(mirror.database, PERSON)
    mirror.sync()
    assert not mirror.forget_erased()
    mirror.rebuild_now()
    assert receipt(mirror.database, erasure_id).mirrors == (1, 0, 0, 0)
    assert in_dictionary(mirror, PERSON)  # as an event that is removed above the tidemark

    open_transaction.rollback()
    mirror.sync()
    assert mirror.forget_erased()
    assert receipt(mirror.database, erasure_id).mirrors == (1, 1, 1, 0)
    assert not in_dictionary(mirror, PERSON)


def test_events_that_come_meanwhile_are_in_the_new_file(
    mirror: HandKept, connect: Write, exact: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    fill(writer)
    mirror.open_or_build()
    erase(mirror.database, PERSON)
    mirror.sync()
    built = mirror._new_file

    def write_and_build(*arguments: Any) -> Any:
        made = built(*arguments)
        insert(writer, user="late")
        exact()  # the old file answers
        mirror.sync()
        return made

    monkeypatch.setattr(mirror, "_new_file", write_and_build)
    assert mirror.forget_erased()
    exact()
    mirror.sync()
    assert in_dictionary(mirror, "late")
    assert mirror.verified().differences == ()


def test_an_old_file_left_by_a_crash_goes_at_the_next_start(
    mirror: HandKept, connect: Write, tmp_path: Path
) -> None:
    fill(connect())
    mirror.open_or_build().checkpoint()
    left = tmp_path / "left"
    mirror.leave_files(left)  # what the crash leaves of the old file
    erase(mirror.database, PERSON)
    mirror.sync()
    assert mirror.forget_erased()
    mirror.leave_files(left)  # and the new one beside it
    assert in_files(left, PERSON)
    mirror.close()

    with HandKept(mirror.database, left) as restarted:
        restarted.open_or_build().checkpoint()
        assert len(restarted.home.files()) == 1
        assert not in_files(left, PERSON)
        assert not restarted.forget_erased()


def test_a_mirror_that_slept_counts_again_when_it_wakes_and_replaces_its_file(
    mirror: HandKept, connect: Write, tmp_path: Path
) -> None:
    fill(connect())
    mirror.open_or_build()
    mirror.close()
    owner = connect()
    owner.execute("update mirror_leases set expires_at = now() - interval '1 second'")
    erasure_id = erase(mirror.database, PERSON)
    found = receipt(mirror.database, erasure_id)
    assert found.mirrors == (0, 0, 0, 1)

    with HandKept(mirror.database, tmp_path) as woken:
        woken.open_or_build()
        woken.sync()
        assert receipt(mirror.database, erasure_id).mirrors == (1, 1, 0, 0)
        assert woken.forget_erased()
        woken.store().checkpoint()
        assert receipt(mirror.database, erasure_id).mirrors == (1, 1, 1, 0)
        assert not in_files(tmp_path, PERSON)


def test_a_mirror_that_slept_answers_nothing_by_itself_before_it_is_synced(
    mirror: HandKept, connect: Write, tmp_path: Path
) -> None:
    fill(connect())
    mirror.open_or_build()
    question = WINDOWS[0].questions(SHOP)[0]
    mirror.engine.answer(question, Freshness.MIRROR)  # built just now, it holds what there is
    mirror.close()
    erase(mirror.database, PERSON)
    with HandKept(mirror.database, tmp_path) as woken:
        woken.open_or_build()
        with pytest.raises(MirrorUnavailable) as refused:
            woken.engine.answer(question, Freshness.MIRROR)
        assert refused.value.cause == "asleep"
        exact = woken.engine.answer(question).rows
        woken.sync()
        assert woken.engine.answer(question, Freshness.MIRROR).rows == exact


def test_a_mirror_that_slept_past_pruning_is_not_believed(
    mirror: HandKept, connect: Write, tmp_path: Path
) -> None:
    fill(connect())
    mirror.open_or_build().checkpoint()
    mirror.close()
    owner = connect()
    owner.execute("update mirror_leases set expires_at = now() - interval '1 second'")
    erase(mirror.database, PERSON)
    with HandKept(mirror.database, tmp_path / "another") as another:
        another.open_or_build()
        another.prune()
        assert owner.execute("select count(*) from events_removed").fetchone() == (0,)

    assert in_files(tmp_path, PERSON)
    with HandKept(mirror.database, tmp_path) as woken:
        woken.open_or_build()
        with pytest.raises(TidemarkError, match="slept past its lease"):
            woken.sync()
        woken.open_or_build().checkpoint()
        assert not in_files(tmp_path / "0", PERSON)


def test_the_keeper_replaces_the_file_by_itself(
    database: Database, connect: Write, tmp_path: Path
) -> None:
    with psycopg.connect(database.owner) as owner:
        owner.execute("insert into projects (name) values ('shop')")
    fill(connect())
    soon = timedelta(milliseconds=50)
    pace = Pace(shortest=soon, longest=soon, prune=soon, erasures=soon, rewrite=soon)
    keeper = Keeper(Plan(tmp_path, database.reader, database.owner, pace=pace))
    keeper.start()
    try:
        wait_until(lambda: keeper.status.doing == "ready")
        erasure_id = erase(database, PERSON)
        wait_until(lambda: receipt(database, erasure_id).done)
        assert len(keeper.home.files()) == 1
    finally:
        keeper.close()
    assert not in_files(tmp_path, PERSON)


def wait_until(so: Callable[[], bool]) -> None:
    deadline = monotonic() + 30
    while not so():
        assert monotonic() < deadline
        sleep(0.05)
