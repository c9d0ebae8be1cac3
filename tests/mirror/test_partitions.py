"""The runbook of docs/growth.md: events cut into partitions, and what a mirror sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics.engines.attached import AttachedEngine
from analytics.engines.postgres import PostgresEngine
from analytics.mirror import sync
from analytics.mirror.errors import HistoryBroken
from app.backup import back_up, restore
from app.database.migrate import newest_revision
from app.database.pools import connect as connect_asyncpg
from app.doctor.finding import Level
from app.doctor.postgres import look_at_postgres
from app.erasure import batches
from app.erasure.batches import Which
from app.local.servers import ServerUrls
from app.servers import Servers
from benchmarks.generate import events
from benchmarks.load import copy_in
from tests.conftest import new_database
from tests.mirror.conftest import (
    SHOP,
    WINDOW,
    Write,
    cause_of_giving_up,
    delete,
    insert,
)
from tests.mirror.hand_kept import HandKept
from tests.mirror.partitioning import psql

WAYS = ("1-by-hash.sql", "1-by-project.sql")
Exact = Callable[[], None]
Rows = list[tuple[Any, ...]]


def rows(connection: psycopg.Connection[Any], table: str = "events") -> Rows:
    return connection.execute(f"select * from {table} order by 1, 2").fetchall()  # type: ignore[arg-type]


def partitions(connection: psycopg.Connection[Any]) -> list[str]:
    found = "select relid::regclass::text from pg_partition_tree('events') where isleaf order by 1"
    return [name for (name,) in connection.execute(found)]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cut(mirror: HandKept, connect: Write, way: str) -> psycopg.Connection[Any]:
    """Events in partitions, with a mirror of them; a connection of the owner's."""
    owner = connect()
    for number in range(40):
        insert(owner, user=f"user {number % 7}", project=1 + number % 3)
    psql(mirror.database.owner, way, "2-copy.sql", "4-swap.sql")
    mirror.open_or_build()
    return owner


def test_the_runbook_loses_nothing_while_events_come_and_go(
    mirror: HandKept, connect: Write, exact: Exact, way: str
) -> None:
    owner, late = connect(), connect(open_transaction=True)
    numbers = [insert(owner, user=f"user {number % 7}") for number in range(60)]
    mirror.open_or_build()
    insert(late, user="late")  # commits last, under the oldest number
    psql(mirror.database.owner, way)
    exact()
    psql(mirror.database.owner, "2-copy.sql")
    delete(owner, numbers.pop())
    owner.execute("update events set user_id = 'moved' where user_id = 'user 1'")
    again = numbers.pop()
    delete(owner, again)
    insert(owner, again, user="back")
    exact()
    psql(mirror.database.owner, "3-catch-up.sql")
    delete(owner, numbers.pop())
    late.commit()
    insert(owner, user="last")
    psql(mirror.database.owner, "3-catch-up.sql", "3-catch-up.sql")
    insert(owner, user="very last")
    mirror.prune()
    delete(owner, numbers.pop())
    exact()

    psql(mirror.database.owner, "4-swap.sql")
    assert rows(owner) == rows(owner, "events_whole")
    assert cause_of_giving_up(mirror) == "events_oid"
    exact()
    assert mirror.verified().ok


def test_the_swap_gives_up_while_somebody_holds_the_table(
    mirror: HandKept, connect: Write, exact: Exact, way: str
) -> None:
    owner, holder = connect(), connect(open_transaction=True)
    insert(owner)
    insert(holder, user="held")
    psql(mirror.database.owner, way, "2-copy.sql")
    with pytest.raises(AssertionError, match="lock timeout"):
        psql(mirror.database.owner, "4-swap.sql")
    holder.commit()
    psql(mirror.database.owner, "4-swap.sql")
    assert len(rows(owner)) == 2
    mirror.open_or_build()
    exact()


def test_partitions_are_read_and_synced_like_one_table(
    mirror: HandKept, cut: psycopg.Connection[Any], exact: Exact
) -> None:
    number = insert(cut, user="new")
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(cut, number)
    exact()
    mirror.sync()
    cut.execute("update events set user_id = 'renamed' where user_id = 'new'")
    # Into another partition: a removal and an arrival at once.
    cut.execute("update events set event_id = gen_random_uuid() where user_id = 'user 2'")
    cut.execute("update events set project_id = 3 where user_id = 'user 3'")
    cut.execute("delete from events where user_id = 'user 4'")
    exact()
    mirror.sync()
    exact()
    assert mirror.verified().ok


def test_statements_that_name_a_partition_are_seen(
    mirror: HandKept, cut: psycopg.Connection[Any], exact: Exact
) -> None:
    for table in partitions(cut):
        cut.execute(f"update {table} set user_id = user_id || '!' where user_id = 'user 1'")  # type: ignore[arg-type]
        exact()
        cut.execute(f"delete from {table} where user_id = 'user 2'")  # type: ignore[arg-type]
        exact()
    mirror.sync()
    assert mirror.verified().ok


@pytest.mark.usefixtures("cut")
def test_partitions_are_attached_and_backed_up_like_one_table(
    mirror: HandKept, servers: ServerUrls, template: str, way: str, tmp_path: Path
) -> None:
    at = mirror.database
    with (
        closing(AttachedEngine(at.reader)) as attached,
        closing(PostgresEngine(at.reader)) as postgres,
    ):
        for question in WINDOW.questions(SHOP):
            assert attached.answer(question).rows == postgres.answer(question).rows
    written = back_up(at.writer, tmp_path / "backup", lambda *_: None)
    with new_database(servers, template) as other:
        psql(other.owner, way, "2-copy.sql", "4-swap.sql")
        restored = restore(other.owner, tmp_path / "backup", newest_revision(), lambda *_: None)
    assert restored == written


def test_truncate_of_one_partition_begins_a_new_epoch(
    mirror: HandKept, cut: psycopg.Connection[Any], exact: Exact
) -> None:
    cut.execute(f"truncate {partitions(cut)[0]}")  # type: ignore[arg-type]
    assert cause_of_giving_up(mirror) == "epoch"
    exact()


@pytest.mark.parametrize(
    "statement",
    [
        "alter table events detach partition {}",
        "alter table events detach partition {} concurrently",
        "drop table {}",
    ],
)
def test_a_partition_that_goes_ends_in_a_rebuild(
    mirror: HandKept, cut: psycopg.Connection[Any], exact: Exact, statement: str, way: str
) -> None:
    if "concurrently" in statement and "project" in way:
        pytest.skip("Postgres refuses that beside a default partition")
    cut.execute(statement.format(partitions(cut)[0]))  # type: ignore[arg-type]
    assert cause_of_giving_up(mirror) == "events_definition"
    exact()


def test_a_partition_put_back_ends_in_a_rebuild(
    mirror: HandKept, cut: psycopg.Connection[Any], exact: Exact
) -> None:
    """Meanwhile its rows may have changed; all is as it was, but for the triggers' versions."""
    table = partitions(cut)[0]
    bound = cut.execute(
        "select pg_get_expr(relpartbound, oid) from pg_class where oid = %s::regclass", [table]
    ).fetchone()
    assert bound is not None
    cut.execute(f"alter table events detach partition {table}")  # type: ignore[arg-type]
    for change in (
        "alter table {} drop constraint ck_events_ingest_xid",
        "update {} set event_type = 'changed'",
        "alter table {} add constraint ck_events_ingest_xid"
        " check (ingest_xid = pg_current_xact_id()) not valid",
    ):
        cut.execute(change.format(table))  # type: ignore[arg-type]
    cut.execute(f"alter table events attach partition {table} {bound[0]}")  # type: ignore[arg-type]
    assert cause_of_giving_up(mirror) == "events_definition"
    exact()


@pytest.mark.parametrize("way", ["1-by-project.sql"], indirect=True)
def test_a_new_partition_is_refused_until_it_is_guarded(
    mirror: HandKept, cut: psycopg.Connection[Any], exact: Exact
) -> None:
    insert(cut, project=3)
    cut.execute("create table events_project_9 partition of events for values in (9)")
    with pytest.raises(HistoryBroken) as caught:
        exact()
    assert caught.value.cause == "triggers"
    [finding] = [each for each in doctor(mirror) if each.part == "triggers"]
    assert finding.level is Level.PROBLEM
    assert "events_guard_partitions" in str(finding.next_step)
    assert cut.execute("select events_guard_partitions()").fetchone() == (1,)
    mirror.open_or_build()
    insert(cut, project=9)
    exact()


def doctor(mirror: HandKept) -> list[Any]:
    at = mirror.database
    found = Servers(at.owner, at.writer, at.reader, redis=None, spill=None, local=False)
    return list(look_at_postgres(found))


def test_a_build_reads_every_page_of_every_partition(
    mirror: HandKept, cut: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "PAGES_AT_ONCE", 16)
    asyncio.run(copy_in(mirror.database.writer, SHOP.id, events(5_000)))
    mirror.rebuild_now()
    assert mirror.verified().ok
    count = "select count(*) from events where project_id = %s"
    held = mirror.store()
    with held.reading(sync.TIMEOUT) as (cursor, _):
        found = cursor.execute("select count(*) from events where project_id = 1").fetchone()
    assert found == cut.execute(count, [SHOP.id]).fetchone()
    assert found is not None
    assert found[0] > 5_000


def test_removals_in_batches_keep_to_their_size_over_all_partitions(
    mirror: HandKept, cut: psycopg.Connection[Any], exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAGES", 8)
    asyncio.run(copy_in(mirror.database.writer, 2, events(5_000)))
    left = asyncio.run(_removed(mirror.database.writer, Which(2, None)))
    assert left == 0
    sizes = "select count(*) from events_removed group by removed_xid"
    assert max(size for (size,) in cut.execute(sizes)) <= 8 * 110  # pages, and what fits on one
    exact()
    assert mirror.verified().ok


async def _removed(url: str, which: Which) -> int:
    connection = await connect_asyncpg(url)
    try:
        async for step in batches.remove(connection, which):
            assert step.removed <= step.of
        return await batches.count(connection, which)
    finally:
        await connection.close()
