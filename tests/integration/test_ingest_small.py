"""The events of JSON requests into the table: exact answers, alone and with others at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest

from analytics.events import ProjectId
from app.database.pools import events_pool
from app.local.servers import ServerUrls
from ingest import commit, small
from ingest.commit import ContactLost
from ingest.errors import InvalidEvents
from ingest.group import GroupCommit
from ingest.outcome import EventsRefused, IdHeld, NotWritable, SmallResult, Way
from ingest.policy import OnReject
from ingest.rejects import Code
from ingest.small import SmallWriter
from ingest.sources.jsons import read_json
from tests.conftest import Database
from tests.unit.ingest.rows import T0, event_id

PROJECT, OTHER = ProjectId(7), ProjectId(8)
HELD = (
    "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
    " values (7, $1, now(), 'other', 'x')"
)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    async with events_pool(database.writer) as opened:
        yield opened


@pytest.fixture
def writer(pool: asyncpg.Pool) -> SmallWriter:
    return SmallWriter(pool)


@pytest.fixture(params=[Way.INSERT, Way.COPY])
def either_way(
    request: pytest.FixtureRequest, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> SmallWriter:
    """A writer that takes this way whatever the number of events."""
    monkeypatch.setattr(small, "COPY_FROM_ROWS", 0 if request.param is Way.COPY else 1 << 30)
    monkeypatch.setattr(small, "COPY_FROM_BYTES", 1 << 30)
    return SmallWriter(pool)


def event(number: int, **changes: Any) -> dict[str, Any]:
    made = {"event_id": event_id(number), "occurred_at": T0, "user_id": "a", "event_type": "b"}
    return {**made, **changes}


async def write(
    writer: SmallWriter | GroupCommit,
    *events: dict[str, Any],
    project: ProjectId = PROJECT,
    on_reject: OnReject = OnReject.ABORT,
) -> SmallResult:
    return await writer.write(project, read_json(json.dumps(events).encode()), on_reject)


def uuids(*numbers: int) -> list[UUID]:
    return [UUID(int=number) for number in numbers]


def stored(database: Database, columns: str = "event_id::text, user_id") -> list[Any]:
    with psycopg.connect(database.reader) as reader:
        query = f"select {columns} from events order by project_id, event_id"
        return reader.execute(query.encode()).fetchall()


async def test_ids_are_told_in_the_order_of_the_request(
    either_way: SmallWriter, database: Database
) -> None:
    assert await write(either_way, event(5), event(2)) == SmallResult(uuids(5, 2), [])
    result = await write(either_way, *map(event, (9, 5, 1, 2, 3)))
    assert result == SmallResult(uuids(9, 1, 3), uuids(5, 2))
    assert stored(database) == [(event_id(number), "a") for number in (1, 2, 3, 5, 9)]


async def test_of_equal_ids_the_first_is_inserted_and_the_others_are_duplicates(
    either_way: SmallWriter, database: Database
) -> None:
    events = [event(1, user_id="x"), event(2), event(1, user_id="y"), event(1, user_id="z")]
    assert await write(either_way, *events) == SmallResult(uuids(1, 2), uuids(1, 1))
    assert await write(either_way, *events) == SmallResult([], uuids(1, 2, 1, 1))
    assert stored(database) == [(event_id(1), "x"), (event_id(2), "a")]


BAD = [event(2, occurred_at="2025-08-01"), event(3), event(4, properties="x"), event(5, n=1)]
FAULTS = [
    (1, Code.INVALID_TIMESTAMP, UUID(int=2)),
    (3, Code.INVALID_PROPERTIES, UUID(int=4)),
    (4, Code.UNKNOWN_FIELD, UUID(int=5)),
]


async def test_one_invalid_event_keeps_all_out_and_every_one_is_listed(
    either_way: SmallWriter, database: Database
) -> None:
    with pytest.raises(InvalidEvents) as refused:
        await write(either_way, event(1), *BAD)
    assert [(r.position, r.code, r.event_id) for r in refused.value.rejects] == FAULTS
    assert json.loads(refused.value.rejects[0].raw)["event_id"] == event_id(2)
    assert str(refused.value) == (
        "3 of 5 events can't be taken, so none was written. First, index 1: occurred_at"
        " '2025-08-01' is not a date and time; write it like 2025-08-01T10:15:00Z"
    )
    assert refused.value.field == "occurred_at"
    assert stored(database) == []


async def test_invalid_events_can_be_skipped(either_way: SmallWriter, database: Database) -> None:
    result = await write(either_way, event(1), *BAD, event(1), on_reject=OnReject.SKIP)
    assert (result.inserted, result.duplicates) == (uuids(1, 3), uuids(1))
    assert [(r.position, r.code, r.event_id) for r in result.rejects] == FAULTS
    assert [row[0] for row in stored(database)] == [event_id(1), event_id(3)]
    only_bad = await write(either_way, *BAD[2:], on_reject=OnReject.SKIP)
    assert (only_bad.inserted, only_bad.duplicates, len(only_bad.rejects)) == ([], [], 2)


async def test_an_empty_request_writes_nothing(either_way: SmallWriter) -> None:
    assert await write(either_way) == SmallResult([], [])


async def test_values_at_the_limits_arrive_as_they_were_given(
    either_way: SmallWriter, database: Database
) -> None:
    await write(
        either_way,
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


async def test_few_events_share_an_insert_and_many_are_copied(writer: SmallWriter) -> None:
    few, many = range(small.COPY_FROM_ROWS - 1), range(1000, 1000 + small.COPY_FROM_ROWS)
    assert (await write(writer, *map(event, few))).way is Way.INSERT
    assert (await write(writer, *map(event, many))).way is Way.COPY
    assert (await write(writer, *map(event, many))).way is Way.STAGED
    heavy = event(5000, properties={"x": "y" * small.COPY_FROM_BYTES})
    assert (await write(writer, heavy)).way is Way.COPY


async def test_requests_at_once_insert_each_event_once(either_way: SmallWriter) -> None:
    up, down = range(300), range(299, -1, -1)
    results = await asyncio.gather(
        *(write(either_way, *map(event, up if n % 2 else down)) for n in range(16))
    )
    inserted = [event_id for result in results for event_id in result.inserted]
    assert sorted(inserted) == uuids(*up)
    assert sum(len(result.duplicates) for result in results) == 15 * 300


async def test_requests_of_one_group_are_answered_each_for_itself(
    writer: SmallWriter, database: Database
) -> None:
    await write(writer, event(1))
    answers = await asyncio.gather(
        write(writer, event(1), event(2)),
        write(writer, event(3), event(2)),
        write(writer, event(4), event(3, user_id="")),
        write(writer, event(5), event(4, user_id=""), event(5), on_reject=OnReject.SKIP),
        write(writer, event(2), project=OTHER),
        return_exceptions=True,
    )
    assert answers[:2] == [SmallResult(uuids(2), uuids(1)), SmallResult(uuids(3), uuids(2))]
    assert isinstance(answers[2], InvalidEvents)
    assert [reject.position for reject in answers[2].rejects] == [1]
    assert isinstance(answers[3], SmallResult)
    assert (answers[3].inserted, answers[3].duplicates) == (uuids(5), uuids(5))
    assert [reject.position for reject in answers[3].rejects] == [1]
    assert answers[4] == SmallResult(uuids(2), [])
    xids = "count(distinct ingest_xid)::int, count(*)::int"
    assert stored(database, "project_id, event_id::text") == [
        *((7, event_id(number)) for number in (1, 2, 3, 5)),
        (8, event_id(2)),
    ]
    with psycopg.connect(database.reader) as reader:
        assert reader.execute(f"select {xids} from events".encode()).fetchone() == (2, 5)


async def test_a_deadlock_is_tried_again(either_way: SmallWriter, database: Database) -> None:
    other = await asyncpg.connect(database.admin)
    await other.execute("set deadlock_timeout = '1min'")
    async with other.transaction():
        await other.execute(HELD, event_id(2))
        sending = asyncio.create_task(write(either_way, event(1), event(2), event(3)))
        await until_somebody_waits(other)
        await other.execute(HELD, event_id(1))
    await other.close()
    assert await sending == SmallResult(uuids(3), uuids(1, 2))


async def test_events_are_written_in_the_order_of_their_ids(
    writer: SmallWriter, database: Database
) -> None:
    """So that no two writers wait for each other."""
    other = await asyncpg.connect(database.admin)
    await other.execute("set lock_timeout = '200ms'")
    async with other.transaction():
        await other.execute(HELD, event_id(2))
        sending = asyncio.create_task(write(writer, event(3), event(2), event(1)))
        await until_somebody_waits(other)
        await other.execute(HELD, event_id(3))
    await other.close()
    assert await sending == SmallResult(uuids(1), uuids(3, 2))


async def test_a_held_id_delays_only_who_sends_it(writer: SmallWriter, database: Database) -> None:
    other = await asyncpg.connect(database.admin)
    async with other.transaction():
        await other.execute(HELD, event_id(1))
        held = asyncio.create_task(write(writer, event(1), event(2)))
        others = [asyncio.create_task(write(writer, event(number))) for number in (3, 4)]
        assert await asyncio.gather(*others) == [SmallResult(uuids(n), []) for n in (3, 4)]
        assert await write(writer, event(5)) == SmallResult(uuids(5), [])
        assert not held.done()
    assert await held == SmallResult(uuids(2), uuids(1))
    await other.close()


async def test_who_waits_for_a_held_id_too_long_is_told(
    writer: SmallWriter, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.group.GROUP_PATIENCE", "20ms")
    monkeypatch.setattr("ingest.group.REQUEST_PATIENCE", "20ms")
    other = await asyncpg.connect(database.admin)
    async with other.transaction():
        await other.execute(HELD, event_id(1))
        with pytest.raises(IdHeld, match="Another transaction holds one of the events' ids"):
            await write(writer, event(1))
    await other.close()


async def test_a_request_that_postgres_refuses_keeps_no_other_out(
    either_way: SmallWriter, database: Database
) -> None:
    with psycopg.connect(database.owner) as owner:
        owner.execute("alter table events add constraint no_zoe check (user_id <> 'zoe')")
    answers = await asyncio.gather(
        write(either_way, event(1)),
        write(either_way, event(2), event(3, user_id="zoe")),
        write(either_way, event(4)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], EventsRefused)
    assert "no_zoe" in str(answers[1])
    assert [answers[0], answers[2]] == [SmallResult(uuids(n), []) for n in (1, 4)]
    assert stored(database) == [(event_id(1), "a"), (event_id(4), "a")]


async def test_everybody_hears_that_postgres_takes_nothing(
    either_way: SmallWriter, database: Database
) -> None:
    with psycopg.connect(database.owner) as owner:
        owner.execute("revoke insert on events from tidemark_writer")
        owner.execute(
            "revoke insert (project_id, event_id, occurred_at, user_id, event_type, properties)"
            " on events from tidemark_writer"
        )
    answers = await asyncio.gather(
        *(write(either_way, event(number)) for number in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [NotWritable] * 3
    assert "permission denied" in str(answers[0])


async def test_a_lost_connection_costs_a_retry(
    either_way: SmallWriter, pool: asyncpg.Pool, database: Database
) -> None:
    async with pool.acquire() as connection:
        pid = connection.get_server_pid()
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    assert await write(either_way, event(1)) == SmallResult(uuids(1), [])


async def test_everybody_hears_that_postgres_is_away(
    either_way: SmallWriter,
    servers: ServerUrls,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await write(either_way, event(0))
    monkeypatch.setattr(commit, "_WAITS", (0.0, 0.01))
    with psycopg.connect(database.admin) as inside:
        name = inside.info.dbname
    with psycopg.connect(servers.admin, autocommit=True) as admin:
        admin.execute(f'alter database "{name}" allow_connections false'.encode())
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
            (name,),
        )
        answers = await asyncio.gather(
            *(write(either_way, event(number)) for number in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [ContactLost] * 3
        admin.execute(f'alter database "{name}" allow_connections true'.encode())
    assert await write(either_way, event(1)) == SmallResult(uuids(1), [])


async def test_a_request_cancelled_before_its_group_is_left_out(
    pool: asyncpg.Pool, database: Database
) -> None:
    group = GroupCommit(pool, linger=0.05)
    gone, stays = (asyncio.create_task(write(group, event(number))) for number in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == SmallResult(uuids(2), [])
    assert stored(database) == [(event_id(2), "a")]
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_request_cancelled_in_its_group_harms_no_other(
    pool: asyncpg.Pool, database: Database
) -> None:
    group = GroupCommit(pool)
    other = await asyncpg.connect(database.admin)
    async with other.transaction():
        await other.execute(HELD, event_id(1))
        gone, stays = (
            asyncio.create_task(write(group, event(number), event(1))) for number in (2, 3)
        )
        await until_somebody_waits(other)
        gone.cancel()
    await other.close()
    assert await stays == SmallResult(uuids(3), uuids(1))
    assert [row[0] for row in stored(database)] == [event_id(n) for n in (1, 2, 3)]


async def until_somebody_waits(connection: asyncpg.Connection) -> None:
    waiting = "select exists (select from pg_locks where not granted)"
    while not await connection.fetchval(waiting):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.01)
