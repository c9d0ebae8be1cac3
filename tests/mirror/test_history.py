"""Whether Postgres is still the one that the mirror was built from, and what tells."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics.engines.postgres import PostgresEngine
from analytics.mirror import lease
from analytics.mirror.errors import HistoryBroken, MirrorBroken
from analytics.mirror.look import look
from tests.conftest import Database, new_database
from tests.given_servers import postgres_tool
from tests.mirror.comparison import Comparison
from tests.mirror.conftest import (
    SHOP,
    WINDOW,
    Write,
    cause_of_giving_up,
    delete,
    insert,
    superuser,
)
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]
FAR_ABOVE = 10**12


@pytest.fixture
def dump(database: Database, tmp_path: Path) -> Callable[[], Path]:
    return dumper(database, tmp_path)


def dumper(database: Database, tmp_path: Path) -> Callable[[], Path]:
    """Dumps the database anew with each call."""

    def dump() -> Path:
        path = tmp_path / "dump"
        command = [postgres_tool("pg_dump"), "--format=custom", f"--file={path}", database.owner]
        subprocess.run(command, check=True)
        return path

    return dump


@pytest.fixture
def other_database(servers: object) -> Iterator[Database]:
    with new_database(servers, "template1") as database:  # type: ignore[arg-type]
        yield database


def restore(path: Path, url: str, *options: str) -> None:
    command = [postgres_tool("pg_restore"), "--exit-on-error", "--no-comments", *options]
    subprocess.run([*command, f"--dbname={url}", path], check=True)


def test_dump_restored_into_another_database_is_another_history(
    mirror: HandKept,
    connect: Write,
    dump: Callable[[], Path],
    other_database: Database,
    tmp_path: Path,
) -> None:
    writer = connect()
    numbers = [insert(writer, user=user) for user in ("ann", "bob", "cid")]
    mirror.open_or_build()
    restore(dump(), other_database.admin)
    mirror.leave_files(tmp_path / "other")
    with (
        HandKept(other_database, tmp_path / "other") as other,
        closing(Comparison(other)) as comparison,
        psycopg.connect(other_database.owner, autocommit=True) as elsewhere,
    ):
        delete(elsewhere, numbers[0])
        insert(elsewhere, user="dan")
        other.open_or_build()
        assert cause_of_giving_up(other) == "database_oid"
        comparison.check(SHOP, WINDOW.questions(SHOP))
        insert(elsewhere, user="eve")
        comparison.check(SHOP, WINDOW.questions(SHOP))


def test_dump_restored_in_place_changes_only_the_table(
    mirror: HandKept, connect: Write, exact: Exact, dump: Callable[[], Path]
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    dumped = dump()
    insert(writer, user="lost")
    mirror.sync()
    restore(dumped, mirror.database.admin, "--clean")
    # The token of the last sync is lost as well; put it back, to have the table alone tell.
    state = mirror.state()
    writer.execute("update mirror_leases set token = %s", [state.token])
    assert cause_of_giving_up(mirror) == "events_oid"
    exact()


def test_rows_restored_with_numbers_above_the_counter_stay_in_the_tail(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    insert(writer)
    check = "check (ingest_xid = pg_current_xact_id()) not valid"
    writer.execute("alter table events drop constraint ck_events_ingest_xid")
    writer.execute(
        "insert into events (project_id, event_id, occurred_at, user_id, event_type, ingest_xid)"
        " select project_id, gen_random_uuid(), occurred_at, user_id || number, event_type,"
        " %s::text::xid8 from events, generate_series(1, 5) as number",
        [str(FAR_ABOVE)],
    )
    writer.execute(f"alter table events add constraint ck_events_ingest_xid {check}")  # type: ignore[arg-type]
    mirror.open_or_build()
    exact()
    insert(writer, user="bob")
    mirror.sync()
    exact()
    writer.execute("delete from events where user_id = 'ann1'")
    writer.execute("update events set user_id = 'cid' where user_id = 'ann2'")
    exact()
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_lease_that_knows_another_sync_means_a_state_put_back(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    """As after a data directory was put back: everything else is the same."""
    writer = connect()
    mirror.open_or_build()
    for user in ("ann", "bob", "cid"):
        row = writer.execute("select token, previous_token from mirror_leases").fetchone()
        insert(writer, user=user)
        mirror.sync()
    # Two syncs ago; one ago would be that of a file whose commit failed.
    writer.execute(
        "update mirror_leases set token = %s, previous_token = %s",
        [row[1], None],  # type: ignore[index]
    )
    assert cause_of_giving_up(mirror) == "token"
    exact()


def test_file_that_missed_its_commit_goes_on_from_where_it_was(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    mirror.open_or_build()
    insert(writer)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise MemoryError

        patch.setattr("analytics.mirror.sync.write_state", fail)
        for _ in range(2):
            with pytest.raises(MemoryError):
                mirror.sync()
            exact()
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_truncate_waits_for_a_look(mirror: HandKept, connect: Write) -> None:
    mirror.open_or_build()
    writer = connect()
    writer.execute("set lock_timeout = '50ms'")
    with (
        look(mirror.sessions, mirror.state(), SHOP.id, timedelta(seconds=5)),
        pytest.raises(psycopg.errors.LockNotAvailable),
    ):
        writer.execute("truncate events")
    writer.execute("truncate events")


def test_truncate_under_way_is_waited_for_before_anything_is_read(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    """A snapshot of before it would still see the old epoch, but none of the tail's rows."""
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    insert(writer, user="bob")
    truncating = connect(open_transaction=True)
    truncating.execute("truncate events")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(mirror.engine.answer, WINDOW.questions(SHOP)[0])
        _wait_for_lock(mirror)
        truncating.commit()
        with pytest.raises(MirrorBroken) as caught:
            answer.result()
    assert caught.value.cause == "epoch"
    mirror.open_or_build()
    exact()


def _wait_for_lock(mirror: HandKept) -> None:
    """Until a session of the mirror waits for a lock."""
    waiting = (
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where not granted and application_name = 'tidemark mirror'"
        " and datname = current_database()"
    )
    with superuser(mirror) as admin:
        while admin.execute(waiting).fetchone() == (0,):
            admin.execute("select pg_sleep(0.005)")


def test_removals_pruned_while_the_mirror_slept_past_its_lease(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    number = insert(writer)
    insert(writer, user="bob")
    mirror.open_or_build()
    delete(writer, number)
    writer.execute("update mirror_leases set expires_at = now()")
    assert lease.prune(writer) == 1
    assert cause_of_giving_up(mirror) == "floor"
    exact()


def test_sync_between_a_questions_file_and_its_look_changes_no_answer(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    numbers = [insert(writer, user=user) for user in ("ann", "bob", "cid")]
    mirror.open_or_build()

    def change_and_sync() -> None:
        delete(writer, numbers.pop())
        numbers.append(insert(writer, user=f"user {len(numbers)}"))
        insert(writer, user="more")
        mirror.sync()

    monkeypatch.setattr("analytics.engines.mirrored.look", _first(change_and_sync, look))
    for question in WINDOW.questions(SHOP):
        answer = mirror.engine.answer(question).rows
        with closing(PostgresEngine(mirror.database.reader)) as postgres:
            assert answer == postgres.answer(question).rows


def _first(act: Callable[[], None], function: Callable[..., Any]) -> Callable[..., Any]:
    def act_and_call(*arguments: Any, **named: Any) -> Any:
        act()
        return function(*arguments, **named)

    return act_and_call


@pytest.mark.parametrize("pruned", [False, True], ids=["two syncs", "two syncs and pruning"])
def test_question_held_up_over_two_syncs_costs_no_mirror(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch, pruned: bool
) -> None:
    writer = connect()
    number = insert(writer)
    store = mirror.open_or_build()
    # A table's first rows would overtake the question, and have it asked again.
    insert(writer)
    mirror.sync()

    def move_on() -> None:
        delete(writer, number)
        for user in ("bob", "cid"):
            insert(writer, user=user)
            mirror.sync()
        if pruned:
            assert lease.prune(writer) == 1

    with monkeypatch.context() as patch:
        patch.setattr("analytics.engines.mirrored.look", _first(move_on, look))
        with pytest.raises(HistoryBroken):
            mirror.engine.answer(WINDOW.questions(SHOP)[0])
    assert mirror.store() is store
    exact()


def test_removal_of_an_event_that_the_file_lacks_is_no_count_below_zero(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    number = insert(writer)
    mirror.open_or_build()
    with mirror.store().writing() as cursor:
        cursor.execute("delete from events")
    delete(writer, number)
    with pytest.raises(MirrorBroken) as caught:
        mirror.sync()
    assert caught.value.cause == "mismatch"
    mirror.open_or_build()
    number = insert(writer)
    mirror.sync()
    with mirror.store().writing() as cursor:
        cursor.execute("delete from recent_user_days")
    delete(writer, number)
    assert cause_of_giving_up(mirror) == "mismatch"
    exact()


def test_living_lease_keeps_what_its_mirror_needs(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    number = insert(writer)
    mirror.open_or_build()
    delete(writer, number)
    assert lease.prune(writer) == 0
    exact()
    mirror.sync()
    assert lease.prune(writer) == 1
    exact()


def test_counter_below_the_tidemark(mirror: HandKept, connect: Write, exact: Exact) -> None:
    insert(connect())
    mirror.open_or_build()
    with mirror.store().writing() as cursor:
        cursor.execute("update mirror set horizon = horizon + 1000000")
    assert cause_of_giving_up(mirror) == "counter"
    exact()
