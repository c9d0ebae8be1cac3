"""What projects no longer keep is removed: exactly that, in bounded batches, by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import psycopg
import pytest

from app.database.pools import connect
from app.erasure import batches, expiry
from app.erasure.batches import Step, Which
from app.erasure.storage_period import Expired, ExpiryRunning, expired, only_run
from app.observability import Metrics
from tests.conftest import Database

NOW = datetime(2025, 3, 11, 12, tzinfo=UTC)


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner, autocommit=True) as connection:
        yield connection


def project(owner: psycopg.Connection[Any], zone: str, days: int | None) -> int:
    statement = (
        "insert into projects (name, timezone, storage_days) values (%s, %s, %s) returning id"
    )
    (made,) = owner.execute(statement, [f"{zone} {days}", zone, days]).fetchone() or (0,)
    return int(made)


def fill(owner: psycopg.Connection[Any], project_id: int, *at: datetime) -> None:
    for each in at:
        owner.execute(
            "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
            " values (%s, gen_random_uuid(), %s, 'ann', 'look')",
            [project_id, each],
        )


def fill_many(owner: psycopg.Connection[Any], project_id: int, rows: int) -> None:
    owner.execute(
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " select %s, gen_random_uuid(), '2020-01-01'::timestamptz + n * interval '1 second',"
        " 'user ' || n, 'look' from generate_series(1, %s) n",
        [project_id, rows],
    )


def left(owner: psycopg.Connection[Any], project_id: int) -> list[datetime]:
    statement = "select occurred_at from events where project_id = %s order by 1"
    return [at for (at,) in owner.execute(statement, [project_id])]


def due(database: Database, now: datetime) -> list[Expired]:
    async def look() -> list[Expired]:
        async with only_run(database.writer) as connection:
            return await expired(connection, now)

    return asyncio.run(look())


def remove(database: Database, which: Which, most: int | None = None) -> list[Step]:
    async def work() -> list[Step]:
        connection = await connect(database.writer)
        steps = []
        try:
            async for step in batches.remove(connection, which):
                steps.append(step)
                if len(steps) == most:
                    break
        finally:
            await connection.close()
        return steps

    return asyncio.run(work())


def test_whole_days_of_the_project_s_own_zone_go(
    database: Database, owner: psycopg.Connection[Any]
) -> None:
    # New York's clocks went forward on March 9th, so its March 10th began at 4, the 9th at 5.
    shop = project(owner, "America/New_York", 2)
    begins = datetime(2025, 3, 9, 5, tzinfo=UTC)
    fill(owner, shop, begins - timedelta(microseconds=1), begins, NOW)
    assert due(database, NOW) == [
        Expired("America/New_York 2", date(2025, 3, 9), Which(shop, begins))
    ]
    assert remove(database, Which(shop, begins)) == [Step(1, 1)]
    assert left(owner, shop) == [begins, NOW]


def test_nothing_goes_without_a_period(database: Database, owner: psycopg.Connection[Any]) -> None:
    shop = project(owner, "UTC", None)
    fill(owner, shop, datetime(1970, 1, 1, tzinfo=UTC))
    assert due(database, NOW) == []
    assert asyncio.run(expiry.run(database.writer, Metrics())) == 0
    assert len(left(owner, shop)) == 1


def test_batches_are_bounded_and_committed_one_by_one(
    database: Database, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAGES", 4)
    kept, shop = project(owner, "UTC", None), project(owner, "Europe/Kyiv", 1)
    for _ in range(3):
        fill_many(owner, shop, 400)
        fill_many(owner, kept, 300)
    interrupted = remove(database, Which(shop, None), most=2)
    assert [step.of for step in interrupted] == [1_200, 1_200]
    assert len(left(owner, shop)) == 1_200 - interrupted[-1].removed
    statement = "select count(*) from events_removed group by removed_xid"
    assert len(owner.execute(statement).fetchall()) == 2

    rest = remove(database, Which(shop, None))
    assert rest[-1].removed == rest[-1].of == 1_200 - interrupted[-1].removed
    sizes = [rows for (rows,) in owner.execute(statement)]
    assert sum(sizes) == 1_200
    assert max(sizes) <= 4 * 110  # pages, and what fits on one
    assert left(owner, shop) == []
    assert len(left(owner, kept)) == 900


def test_a_run_removes_counts_and_prunes_where_no_mirror_is_kept(
    database: Database, owner: psycopg.Connection[Any]
) -> None:
    shop, kept = project(owner, "UTC", 30), project(owner, "Europe/Kyiv", None)
    fill_many(owner, shop, 500)
    fill(owner, shop, datetime.now(UTC))
    fill_many(owner, kept, 10)
    metrics = Metrics()
    assert asyncio.run(expiry.run(database.writer, metrics)) == 500
    assert metrics.registry.get_sample_value("expired_events_total") == 500
    assert len(left(owner, shop)) == 1
    assert len(left(owner, kept)) == 10
    assert owner.execute("select count(*) from events_removed").fetchone() == (0,)


def test_events_of_deleted_projects_go(database: Database, owner: psycopg.Connection[Any]) -> None:
    shop, gone = project(owner, "UTC", None), project(owner, "Europe/Kyiv", None)
    for each in (gone, gone + 5, shop):
        fill_many(owner, each, 20)
    owner.execute("delete from projects where id = %s", [gone])
    assert [each.which for each in due(database, NOW)] == [
        Which(gone, None),
        Which(gone + 5, None),
    ]
    assert asyncio.run(expiry.run(database.writer, Metrics())) == 40
    assert len(left(owner, shop)) == 20


def test_one_run_at_a_time_and_the_next_after_its_process_died(database: Database) -> None:
    async def second(_: asyncpg.Connection) -> None:
        with pytest.raises(ExpiryRunning):
            await expiry.run(database.writer, Metrics())

    async def work() -> None:
        async with only_run(database.writer) as connection:
            await second(connection)
            connection.terminate()
        await asyncio.wait_for(again(), 10)

    async def again() -> None:
        while True:
            try:
                await expiry.run(database.writer, Metrics())
            except ExpiryRunning:
                await asyncio.sleep(0.05)
            else:
                return

    asyncio.run(work())


def test_the_job_goes_on_after_a_run_that_failed(
    database: Database, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = project(owner, "UTC", 1)
    fill_many(owner, shop, 10)
    metrics = Metrics()
    owner.execute("alter table projects rename to elsewhere")

    async def job() -> None:
        every = timedelta(milliseconds=20)
        task = asyncio.create_task(expiry.keep_expiring(database.writer, every, metrics))
        failures = "expiry_failures_total"
        while not metrics.registry.get_sample_value(failures):  # noqa: ASYNC110 - the job counts
            await asyncio.sleep(0.01)
        owner.execute("alter table elsewhere rename to projects")
        while not metrics.registry.get_sample_value("expired_events_total"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(job(), 30))
    assert metrics.registry.get_sample_value("expired_events_total") == 10
    assert not left(owner, shop)
