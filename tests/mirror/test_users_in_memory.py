"""Whose events they are, and which days they had, from memory: always as the file has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from analytics.mirror import changes, dictionaries, sync, users
from tests.mirror.conftest import AT, SHOP, Write, delete, insert
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]
DAY = timedelta(days=1)


@pytest.fixture
def settled(mirror: HandKept, exact: Exact) -> Exact:
    """Whether answers are exact with what was written above the tidemark, and after a sync."""

    def settled() -> None:
        exact()
        mirror.sync()
        assert mirror.verified().ok
        assert not mirror.misremembered()
        exact()

    return settled


def forbid(patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    def forbidden(*_: object) -> None:
        pytest.fail(f"{name} was asked for nothing")

    patch.setattr(module, name, forbidden)


def test_file_is_not_asked_for_people_who_only_have_newer_events(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    for user in ("ann", "bob"):
        insert(writer, user=user)
    mirror.open_or_build()
    mirror.sync()
    with monkeypatch.context() as patch:
        forbid(patch, dictionaries, "find_people")
        patch.setattr(changes, "written", lambda *_: pytest.fail("days were asked for nothing"))
        for at in (AT, AT + DAY, AT + DAY, AT + 40 * DAY):
            for user in ("ann", "cid", f"new {at}"):
                insert(writer, user=user, at=at)
            settled()


@pytest.mark.parametrize("back", [1, 2, 9, 40])
def test_event_before_the_last_day(
    mirror: HandKept, connect: Write, settled: Exact, back: int
) -> None:
    """On a day, in a week or in a month with events, or in none."""
    writer = connect()
    for days in (0, 9, 10):
        insert(writer, at=AT + days * DAY)
    mirror.open_or_build()
    mirror.sync()
    insert(writer, at=AT + (10 - back) * DAY)
    settled()
    insert(writer, at=AT + (10 - back) * DAY)
    insert(writer, at=AT + 10 * DAY)
    settled()


def test_removal_of_one_of_two_events_of_the_last_day(
    mirror: HandKept, connect: Write, settled: Exact
) -> None:
    writer = connect()
    insert(writer, at=AT - DAY)
    numbers = [insert(writer) for _ in range(2)]
    mirror.open_or_build()
    mirror.sync()
    for number in numbers:
        delete(writer, number)
        settled()


def test_last_day_whose_events_are_gone_is_the_last_no_longer(
    mirror: HandKept, connect: Write, settled: Exact
) -> None:
    writer = connect()
    insert(writer, at=AT - DAY)
    number = insert(writer)
    mirror.open_or_build()
    mirror.sync()
    delete(writer, number)
    settled()
    insert(writer)
    settled()


def test_who_left_and_came_again_is_somebody_new(
    mirror: HandKept, connect: Write, settled: Exact
) -> None:
    """Somebody else has the key meanwhile."""
    writer = connect()
    insert(writer, user="bob")
    number = insert(writer, at=AT - 7 * DAY)
    mirror.open_or_build()
    mirror.sync()
    delete(writer, number)
    settled()
    insert(writer, user="cid")
    settled()
    insert(writer)
    settled()


def test_days_are_forgotten_with_the_calendar_they_are_of(
    mirror: HandKept, connect: Write, settled: Exact
) -> None:
    writer = connect()
    noon = AT + timedelta(hours=5)
    insert(writer, at=noon)
    mirror.open_or_build()
    mirror.sync()
    for zone in ("Pacific/Apia", SHOP.timezone):  # there it is the next day
        writer.execute("update projects set timezone = %s", [zone])
        insert(writer, user=f"new in {zone}", at=noon)
        mirror.sync()
        assert not mirror.misremembered()
        for user in ("ann", "bob"):
            insert(writer, user=user, at=noon)
            settled()


def test_question_of_a_state_before_memorys_asks_the_file(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync ends between a question's look at the file and its look into memory."""
    writer = connect()
    insert(writer, user="bob")
    mirror.open_or_build()
    insert(writer, user="cid")
    mirror.sync()  # the next one isn't large, and so doesn't make the question begin anew
    insert(writer)
    find, synced = dictionaries.keys_of, False

    def behind_a_sync(*arguments: Any) -> Any:
        nonlocal synced
        if not synced:
            synced = True
            mirror.sync()
        return find(*arguments)

    monkeypatch.setattr("analytics.engines.seen.keys_of", behind_a_sync)
    exact()
    assert synced


def test_users_that_memory_has_no_room_for_are_looked_up_in_the_file(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "MOST_BYTES", users.BYTES_A_USER)
    writer = connect()
    for user in ("ann", "bob"):
        insert(writer, user=user)
    mirror.open_or_build()
    with monkeypatch.context() as patch:
        forbid(patch, users.Users, "fill")
        mirror.sync()
    insert(writer)
    insert(writer, user="cid")
    settled()


def test_sync_goes_on_where_duckdb_lacks_the_memory_to_say_who_everybody_is(
    mirror: HandKept,
    connect: Write,
    settled: Exact,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def exhausted(*_: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate")

    writer = connect()
    insert(writer)
    mirror.open_or_build()
    with monkeypatch.context() as patch:
        patch.setattr(sync, "remember_users", exhausted)
        mirror.sync()
    assert "mirror.users_not_in_memory" in caplog.text
    insert(writer)
    insert(writer, user="cid")
    with monkeypatch.context() as patch:
        forbid(patch, users.Users, "fill")
        settled()
