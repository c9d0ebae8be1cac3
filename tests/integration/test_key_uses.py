"""When keys were last used: however many requests, few rows, and no waiting for other servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import psycopg
import pytest

from app.accounts.key_uses import KeyUses
from app.database.pools import sqlalchemy_engine
from tests.conftest import Database


@pytest.fixture
def keys(database: Database) -> list[int]:
    """The ids of three keys."""
    with psycopg.connect(database.owner) as connection:
        connection.execute("insert into projects (name) values ('shop')")
        made = connection.execute(
            "insert into api_keys (project_id, scope, prefix, key_hash)"
            " select 1, 'read', n, n from unnest(array['a', 'b', 'c']) n returning id"
        )
        return [key_id for (key_id,) in made.fetchall()]


def used(database: Database) -> dict[int, datetime | None]:
    with psycopg.connect(database.owner) as connection:
        return dict(connection.execute("select id, last_used_at from api_keys").fetchall())


def with_uses(database: Database, work: Callable[[KeyUses], Awaitable[None]]) -> None:
    async def run() -> None:
        engine = sqlalchemy_engine(database.writer)
        try:
            await work(KeyUses(engine))
        finally:
            await engine.dispose()

    asyncio.run(run())


def test_a_key_s_use_is_written_at_most_once_a_minute(database: Database, keys: list[int]) -> None:
    seen = []

    async def work(uses: KeyUses) -> None:
        for _ in range(2):
            for _ in range(1_000):
                uses.note(keys[0])
            await uses.flush()
            seen.append(used(database))

    with_uses(database, work)
    first, again = seen
    assert first[keys[0]] is not None
    assert first[keys[1]] is first[keys[2]] is None
    assert again == first


def test_a_row_that_another_server_writes_is_passed_by(database: Database, keys: list[int]) -> None:
    async def work(uses: KeyUses) -> None:
        for key_id in keys:
            uses.note(key_id)
        with psycopg.connect(database.owner) as other:
            other.execute("update api_keys set prefix = 'x' where id = %s", [keys[1]])
            await asyncio.wait_for(uses.flush(), 10)

    with_uses(database, work)
    assert [used(database)[key_id] is None for key_id in keys] == [False, True, False]


def test_what_can_t_be_written_is_written_later(database: Database, keys: list[int]) -> None:
    async def work(uses: KeyUses) -> None:
        uses.note(keys[0])
        with psycopg.connect(database.owner, autocommit=True) as owner:
            owner.execute("alter table api_keys rename to elsewhere")
            await uses.try_to_flush()
            owner.execute("alter table elsewhere rename to api_keys")
        assert used(database)[keys[0]] is None
        await uses.try_to_flush()

    with_uses(database, work)
    assert used(database)[keys[0]] is not None
