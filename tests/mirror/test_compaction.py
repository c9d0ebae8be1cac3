"""What syncs leave behind is made one sorted run, and the file gets smaller again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from analytics.mirror import compaction
from analytics.mirror.errors import Overtaken
from analytics.mirror.store import Store
from tests.mirror.conftest import Write, delete, insert
from tests.mirror.hand_kept import HandKept

LIMIT = timedelta(seconds=10)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has piled up is enough."""
    for name in ("RECENT", "USER_DAYS", "REMOVED"):
        monkeypatch.setattr(compaction, f"{name}_SHARE", 0)
        monkeypatch.setattr(compaction, f"LEAST_{name}", 0)


def rows(store: Store, table: str) -> int:
    with store.reading(LIMIT) as (cursor, _):
        found = cursor.execute(f"select count(*) from {table}").fetchone()
    assert found
    return int(found[0])


def pile_up(mirror: HandKept, connect: Write) -> Store:
    """One user's day in four rows: of the build, of two syncs, and of one with a removal."""
    writer = connect()
    number = insert(writer, user="ann")
    store = mirror.open_or_build()
    for _ in range(2):
        insert(writer, user="ann")
        mirror.sync()
    delete(writer, number)
    mirror.sync()
    return store


def test_recent_days_become_one_row_each_until_they_are_many(
    mirror: HandKept, connect: Write, exact: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pile_up(mirror, connect)
    assert not mirror.compact()
    monkeypatch.setattr(compaction, "RECENT_SHARE", 0)
    monkeypatch.setattr(compaction, "LEAST_RECENT", 0)
    assert (rows(store, "user_days"), rows(store, "recent_user_days")) == (1, 3)
    assert mirror.compact()
    assert (rows(store, "user_days"), rows(store, "recent_user_days")) == (1, 1)
    exact()
    assert mirror.verified().ok


@pytest.mark.usefixtures("at_once")
def test_many_recent_days_become_part_of_the_others(
    mirror: HandKept, connect: Write, exact: Callable[[], None]
) -> None:
    store = pile_up(mirror, connect)
    assert mirror.compact()
    assert not mirror.compact()
    assert (rows(store, "user_days"), rows(store, "recent_user_days")) == (1, 0)
    assert rows(store, "events") == 2
    exact()
    assert mirror.verified().ok


@pytest.mark.usefixtures("at_once")
def test_a_reader_puts_off_only_the_moment_when_the_log_goes(
    mirror: HandKept, connect: Write
) -> None:
    store = pile_up(mirror, connect)
    log = store.path.with_name(f"{store.path.name}.wal")
    with suppress(Overtaken), store.reading(LIMIT):
        assert mirror.compact()
        assert log.stat().st_size
    assert not mirror.compact()
    assert not log.exists()
