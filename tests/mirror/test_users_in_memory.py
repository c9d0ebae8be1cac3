"""Whose events they are, and which days they had, from memory: always as the file has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from analytics.mirror import lookup, sync, user_days, users
from analytics.mirror.lookup import Lookup
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


def remember(mirror: HandKept) -> None:
    """Have a mirror, with users and days in memory: from the second sync on."""
    mirror.open_or_build()
    for _ in range(2):
        mirror.sync()


def forbid(patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    def forbidden(*_: object) -> None:
        pytest.fail(f"{name} was asked for nothing")

    patch.setattr(module, name, forbidden)


def test_days_are_not_asked_for_of_people_who_only_have_newer_events(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    for user in ("ann", "bob"):
        insert(writer, user=user)
    remember(mirror)
    with monkeypatch.context() as patch:
        forbid(patch, lookup, "find_people")
        forbid(patch, user_days.UserDays, "find")
        for at in (AT, AT + DAY, AT + DAY, AT + 40 * DAY):
            for user in ("ann", "cid", f"new {at}"):
                insert(writer, user=user, at=at)
            mirror.sync()


def test_file_is_not_asked_for_late_events_and_removals(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    numbers = [insert(writer, user=user, at=AT + 9 * DAY) for user in ("ann", "ann", "bob")]
    remember(mirror)
    with monkeypatch.context() as patch:
        forbid(patch, lookup, "find_people")
        forbid(patch, lookup, "find_user_days")
        insert(writer, user="ann", at=AT)
        settled()
        for number in numbers:
            delete(writer, number)
            settled()


def test_first_sync_catches_up_before_anything_is_put_into_memory(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    number = insert(writer)
    mirror.open_or_build()
    with monkeypatch.context() as patch:
        forbid(patch, users.Users, "fill")
        insert(writer, at=AT + DAY)
        delete(writer, number)
        settled()
    assert mirror.store().users.wants(mirror.state().token)
    mirror.sync()
    assert not mirror.store().users.wants(mirror.state().token)


def test_memory_is_filled_with_what_syncs_have_added_to_the_file(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    insert(writer)
    remember(mirror)
    for days in (9, 10):
        insert(writer, at=AT + days * DAY)
        number = insert(writer, at=AT + days * DAY)
        mirror.sync()
    monkeypatch.setattr(mirror.store(), "users", users.Users())  # as when it is opened again
    mirror.sync()
    assert not mirror.misremembered()
    delete(writer, number)
    settled()


def test_days_that_memory_has_no_room_for_are_looked_up_in_the_file(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_days, "MOST_BYTES", user_days.BYTES_A_ROW)
    writer = connect()
    insert(writer, at=AT - DAY)
    number = insert(writer)
    with monkeypatch.context() as patch:
        forbid(patch, user_days.UserDays, "with_added")
        remember(mirror)
    with monkeypatch.context() as patch:
        forbid(patch, lookup, "find_people")
        forbid(patch, user_days.UserDays, "find")
        delete(writer, number)
        settled()
        insert(writer, at=AT - 9 * DAY)
        settled()


@pytest.mark.parametrize("back", [1, 2, 9, 40])
def test_event_before_the_last_day(
    mirror: HandKept, connect: Write, settled: Exact, back: int
) -> None:
    """On a day, in a week or in a month with events, or in none."""
    writer = connect()
    for days in (0, 9, 10):
        insert(writer, at=AT + days * DAY)
    remember(mirror)
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
    remember(mirror)
    for number in numbers:
        delete(writer, number)
        settled()


def test_last_day_whose_events_are_gone_is_the_last_no_longer(
    mirror: HandKept, connect: Write, settled: Exact
) -> None:
    writer = connect()
    insert(writer, at=AT - DAY)
    number = insert(writer)
    remember(mirror)
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
    remember(mirror)
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
    remember(mirror)
    for zone in ("Pacific/Apia", SHOP.timezone):  # there it is the next day
        writer.execute("update projects set timezone = %s", [zone])
        insert(writer, user=f"new in {zone}", at=noon)
        mirror.sync()
        assert not mirror.misremembered()
        for user in ("ann", "bob"):
            insert(writer, user=user, at=noon)
            settled()


@pytest.fixture
def exact_behind(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Whether answers are exact if a sync ends between the look at the file and one into memory."""

    def exact_behind(asked: str) -> None:
        writer = connect()
        number = insert(writer, user="bob")
        remember(mirror)
        insert(writer, user="cid")
        mirror.sync()  # the next one isn't large, and so doesn't make the question begin anew
        insert(writer)
        delete(writer, number)
        find, synced = getattr(Lookup, asked), False

        def behind_a_sync(*arguments: Any) -> Any:
            nonlocal synced
            if not synced:
                synced = True
                mirror.sync()
            return find(*arguments)

        monkeypatch.setattr(Lookup, asked, behind_a_sync)
        exact()
        assert synced

    return exact_behind


def test_question_of_a_state_before_memorys_asks_the_file_for_users(
    exact_behind: Callable[[str], None],
) -> None:
    exact_behind("keys")


def test_question_of_a_state_before_memorys_asks_the_file_for_days(
    exact_behind: Callable[[str], None],
) -> None:
    exact_behind("days")


def test_users_that_memory_has_no_room_for_are_looked_up_in_the_file(
    mirror: HandKept, connect: Write, settled: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "MOST_BYTES", users.BYTES_A_USER)
    writer = connect()
    for user in ("ann", "bob"):
        insert(writer, user=user)
    with monkeypatch.context() as patch:
        forbid(patch, users.Users, "fill")
        remember(mirror)
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
    with monkeypatch.context() as patch:
        patch.setattr(sync, "remember", exhausted)
        remember(mirror)
    assert "mirror.users_not_in_memory" in caplog.text
    insert(writer)
    insert(writer, user="cid")
    with monkeypatch.context() as patch:
        forbid(patch, users.Users, "fill")
        settled()
