"""A few events in one INSERT: all of them or none, and which were new."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest

from analytics.errors import Unreachable
from analytics.events import ProjectId
from ingest.errors import InvalidEvents
from ingest.rejects import Code
from ingest.small import SmallResult, insert_events
from ingest.sources.jsons import read_json
from tests.conftest import Database
from tests.unit.ingest.rows import T0, event_id

PROJECT = ProjectId(7)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database.writer)
    yield opened
    await opened.close()


def event(number: int, **changes: Any) -> dict[str, Any]:
    made = {"event_id": event_id(number), "occurred_at": T0, "user_id": "a", "event_type": "b"}
    return {**made, **changes}


async def insert(connection: asyncpg.Connection, *events: dict[str, Any]) -> SmallResult:
    return await insert_events(connection, PROJECT, read_json(json.dumps(events).encode()))


def uuids(*numbers: int) -> list[UUID]:
    return [UUID(int=number) for number in numbers]


def stored(database: Database, columns: str = "event_id::text, user_id") -> list[Any]:
    with psycopg.connect(database.reader) as reader:
        query = f"select {columns} from events where project_id = 7 order by event_id"
        return reader.execute(query.encode()).fetchall()


async def test_ids_are_told_in_the_order_of_the_request(
    connection: asyncpg.Connection, database: Database
) -> None:
    assert await insert(connection, event(5), event(2)) == SmallResult(uuids(5, 2), [])
    result = await insert(connection, *map(event, (9, 5, 1, 2, 3)))
    assert result == SmallResult(uuids(9, 1, 3), uuids(5, 2))
    assert stored(database) == [(event_id(number), "a") for number in (1, 2, 3, 5, 9)]


async def test_of_equal_ids_the_first_is_inserted_and_the_others_are_duplicates(
    connection: asyncpg.Connection, database: Database
) -> None:
    events = [event(1, user_id="x"), event(2), event(1, user_id="y"), event(1, user_id="z")]
    assert await insert(connection, *events) == SmallResult(uuids(1, 2), uuids(1, 1))
    assert await insert(connection, *events) == SmallResult([], uuids(1, 2, 1, 1))
    assert stored(database) == [(event_id(1), "x"), (event_id(2), "a")]


async def test_one_invalid_event_keeps_all_out_and_every_one_is_listed(
    connection: asyncpg.Connection, database: Database
) -> None:
    bad = [event(2, occurred_at="2025-08-01"), event(3), event(4, properties="x"), event(5, n=1)]
    with pytest.raises(InvalidEvents) as refused:
        await insert(connection, event(1), *bad)
    assert [(r.position, r.code, r.event_id) for r in refused.value.rejects] == [
        (1, Code.INVALID_TIMESTAMP, UUID(int=2)),
        (3, Code.INVALID_PROPERTIES, UUID(int=4)),
        (4, Code.UNKNOWN_FIELD, UUID(int=5)),
    ]
    assert str(refused.value) == (
        "3 of 5 events can't be taken, so none was written. First, index 1: occurred_at"
        " '2025-08-01' is not a date and time; write it like 2025-08-01T10:15:00Z"
    )
    assert refused.value.field == "occurred_at"
    assert stored(database) == []


async def test_an_empty_request_writes_nothing(connection: asyncpg.Connection) -> None:
    assert await insert(connection) == SmallResult([], [])


async def test_values_at_the_limits_arrive_as_they_were_given(
    connection: asyncpg.Connection, database: Database
) -> None:
    await insert(
        connection,
        event(1, occurred_at="0001-01-01T00:00:00Z", user_id=2**63, properties={"n": 2**70}),
        event(2, occurred_at="9999-12-31T23:59:59.9999999Z", user_id="\U0001f600" * 200),
        event(3, occurred_at="1969-12-31T23:59:59.9999999+00", event_type='{"a", \\b}'),
    )
    micros = "(extract(epoch from occurred_at) * 1000000)::bigint"
    assert stored(database, f"{micros}, user_id, event_type, properties::text") == [
        (-62_135_596_800_000_000, str(2**63), "b", '{"n": 1180591620717411303424}'),
        (253_402_300_799_999_999, "\U0001f600" * 200, "b", "{}"),
        (-1, "a", '{"a", \\b}', "{}"),
    ]


async def test_a_large_request_is_inserted_as_a_small_one(
    connection: asyncpg.Connection, database: Database
) -> None:
    numbers = [(number * 7919) % 5003 for number in range(5003)]
    result = await insert(connection, *map(event, numbers))
    assert result == SmallResult(uuids(*numbers), [])
    assert len(stored(database)) == 5003


async def test_requests_at_once_insert_each_event_once(database: Database) -> None:
    async def send(pool: asyncpg.Pool, numbers: Sequence[int]) -> SmallResult:
        async with pool.acquire() as connection:
            return await insert(connection, *map(event, numbers))

    up, down = range(300), range(299, -1, -1)
    async with asyncpg.create_pool(database.writer, min_size=8, max_size=8) as pool:
        results = await asyncio.gather(*(send(pool, up if n % 2 else down) for n in range(16)))
    inserted = [event_id for result in results for event_id in result.inserted]
    assert sorted(inserted) == uuids(*up)
    assert sum(len(result.duplicates) for result in results) == 15 * 300


async def test_a_lost_connection_is_told_as_such(
    connection: asyncpg.Connection, database: Database
) -> None:
    with psycopg.connect(database.admin, autocommit=True) as admin:
        pid = connection.get_server_pid()
        admin.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    with pytest.raises(Unreachable, match=r"Postgres went away .*; send them again"):
        await insert(connection, event(1))


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_a_deadlock_is_tried_again_unless_it_broke_a_transaction(
    connection: asyncpg.Connection, database: Database, in_transaction: bool
) -> None:
    other = await asyncpg.connect(database.admin)
    statement = (
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " values (7, $1, now(), 'other', 'x')"
    )
    await other.execute("set deadlock_timeout = '1min'")
    if in_transaction:
        await connection.execute("begin")
    async with other.transaction():
        await other.execute(statement, event_id(2))
        sending = asyncio.create_task(insert(connection, event(1), event(2), event(3)))
        waiting = "select exists (select from pg_locks where not granted)"
        while not await other.fetchval(waiting):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
        await other.execute(statement, event_id(1))
    await other.close()
    if in_transaction:
        with pytest.raises(Unreachable, match="Other writers were in the way: deadlock detected"):
            await sending
    else:
        assert await sending == SmallResult(uuids(3), uuids(1, 2))
