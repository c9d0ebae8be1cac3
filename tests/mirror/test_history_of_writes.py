"""Writes in the orders that a mirror by transaction numbers has to get right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from analytics.mirror import lease, sync
from analytics.mirror.errors import MirrorBroken
from analytics.questions.dau import Dau, DayUsers
from analytics.questions.day_range import DayRange
from tests.mirror.conftest import (
    AT,
    SHOP,
    Write,
    cause_of_giving_up,
    delete,
    event_id,
    insert,
    superuser,
)
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]
DAY = date(2025, 3, 9)


def dau(mirror: HandKept) -> int:
    """Users of the one day that these tests write to, by the mirror."""
    [row] = mirror.engine.answer(Dau(SHOP, DayRange(DAY, DAY))).rows
    assert isinstance(row, DayUsers)
    return row.dau


def test_long_transaction_holds_the_tidemark_and_is_counted_when_it_commits(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer, long = connect(), connect(open_transaction=True)
    insert(long, user="long")
    for user in ("ann", "bob"):
        insert(writer, user=user)
    mirror.open_or_build()
    held = mirror.state().horizon
    for expected in (2, 2):
        mirror.sync()
        assert (mirror.state().horizon, dau(mirror)) == (held, expected)
    long.commit()
    assert dau(mirror) == 3
    mirror.sync()
    assert (mirror.state().horizon > held, dau(mirror)) == (True, 3)
    exact()


def test_event_deleted_and_written_again_by_an_older_transaction_is_kept(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    """The removal has the id of a version that lives: only the version tells them apart."""
    writer = connect()
    number = insert(writer)
    mirror.open_or_build()
    older = connect(open_transaction=True)
    between = connect(open_transaction=True)
    delete(writer, number)
    insert(older, number)
    older.commit()
    exact()
    mirror.sync()
    assert dau(mirror) == 1
    exact()
    between.rollback()
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_event_removed_before_its_tidemark_was_reached_is_set_off_once(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    """Written below the new tidemark, removed above it, before the sync could see it."""
    writer = connect()
    insert(writer, user="other")
    mirror.open_or_build()
    number = insert(writer)
    holding = connect(open_transaction=True)
    delete(writer, number)
    mirror.sync()
    exact()
    with mirror.store().reading(timedelta(seconds=5)) as (cursor, _):
        assert cursor.execute("select count(*) from events").fetchone() == (2,)
    holding.rollback()
    mirror.sync()
    with mirror.store().reading(timedelta(seconds=5)) as (cursor, _):
        assert cursor.execute("select count(*) from events").fetchone() == (1,)
    exact()


@pytest.mark.parametrize("most", [1, 2])
def test_build_takes_in_what_was_removed_above_its_tidemark(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """More than a sync takes on is read in parts, for all of it may not fit into memory."""
    monkeypatch.setattr(sync, "MOST_REMOVALS", most)
    monkeypatch.setattr(sync, "PAGES_AT_ONCE", 1)
    writer = connect()
    numbers = [insert(writer), insert(writer, user="other")]
    insert(writer, user="third")
    holding = connect(open_transaction=True)
    for number in numbers:
        delete(writer, number)
    mirror.open_or_build()
    with mirror.store().reading(sync.TIMEOUT) as (cursor, _):
        assert cursor.execute("select count(*) from events").fetchone() == (3,)
    exact()
    holding.commit()
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_one_transaction_that_writes_deletes_and_writes_again(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    mirror.open_or_build()
    writer = connect(open_transaction=True)
    number = insert(writer)
    for user in ("bob", "cid"):
        delete(writer, number)
        insert(writer, number, user)
    writer.commit()
    exact()
    holding = connect(open_transaction=True)
    delete(writer, number)
    insert(writer, number, "dan")
    delete(writer, number)
    writer.commit()
    exact()
    mirror.sync()
    exact()
    holding.rollback()
    mirror.sync()
    assert (mirror.verified().ok, dau(mirror)) == (True, 0)
    exact()


def test_update_in_the_transaction_that_wrote(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    mirror.open_or_build()
    writer = connect(open_transaction=True)
    number = insert(writer)
    writer.execute("update events set user_id = 'bob'")
    writer.execute("update events set occurred_at = %s", [AT - timedelta(days=9)])
    exact()
    writer.commit()
    exact()
    mirror.sync()
    exact()
    writer.execute("update events set project_id = 2 where event_id = %s", [event_id(number)])
    writer.execute("update events set project_id = 1, event_id = %s", [event_id(99)])
    writer.commit()
    exact()
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_savepoint_rolled_back_takes_its_writes_and_removals_along(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect(open_transaction=True)
    kept = insert(writer, user="kept")
    writer.commit()
    mirror.open_or_build()
    writer.execute("savepoint one")
    insert(writer, user="gone")
    delete(writer, kept)
    writer.execute("rollback to one")
    insert(writer, user="stays")
    writer.commit()
    assert dau(mirror) == 2
    mirror.sync()
    assert (mirror.verified().ok, dau(mirror)) == (True, 2)
    exact()


def test_prepared_transaction_is_counted_when_it_is_committed_long_after(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    number = insert(writer)
    mirror.open_or_build()
    preparing = connect(open_transaction=True)
    delete(preparing, number)
    insert(preparing, user="bob")
    insert(preparing, user="cid")
    preparing.execute("prepare transaction 'long after'")
    preparing.close()
    for user in ("dan", "eve"):
        insert(writer, user=user)
        mirror.sync()
        exact()
    writer.execute("commit prepared 'long after'")
    assert dau(mirror) == 4
    exact()
    mirror.sync()
    assert (mirror.verified().ok, dau(mirror)) == (True, 4)
    exact()


def test_replication_role_of_a_session_passes_no_trigger_by(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    numbers = [insert(writer, user=user) for user in ("ann", "bob", "cid")]
    mirror.open_or_build()
    # Only a superuser may; a logical replication worker does the same.
    with superuser(mirror) as admin:
        admin.execute("set session_replication_role = replica")
        delete(admin, numbers[0])
        admin.execute("update events set user_id = 'bob' where user_id = 'cid'")
        assert dau(mirror) == 1
        mirror.sync()
        assert (mirror.verified().ok, dau(mirror)) == (True, 1)
        admin.execute("truncate events")
    assert cause_of_giving_up(mirror) == "epoch"
    exact()


def test_late_event_moves_a_user_to_another_cohort_and_its_removal_back(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    for user in ("ann", "bob"):
        for week in range(3):
            insert(writer, user=user, at=AT + timedelta(weeks=week))
    mirror.open_or_build()
    late = insert(writer, user="ann", at=AT - timedelta(days=3650))
    exact()
    mirror.sync()
    exact()
    delete(writer, late)
    exact()
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_removal_of_a_later_event_leaves_the_cohort(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    for user in ("ann", "bob"):
        numbers = [insert(writer, user=user, at=AT + timedelta(weeks=week)) for week in range(8)]
    mirror.open_or_build()
    delete(writer, numbers[6])
    exact()
    mirror.sync()
    assert mirror.verified().ok
    delete(writer, numbers[7])
    exact()
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_projects_new_zone_and_new_events_come_with_one_sync(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    insert(writer, user="bob", at=AT - timedelta(hours=5))
    writer.execute("update projects set timezone = 'Asia/Kolkata', week_start = 'sunday'")
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_data_version_tells_an_event_from_one_that_went_between_two_tidemarks(
    mirror: HandKept, connect: Write
) -> None:
    """Neither leaves a trace of the project in the file, and each is one event above it."""
    writer = connect()
    insert(writer, user="settled")
    mirror.open_or_build()
    question = Dau(SHOP, DayRange(DAY, DAY))
    number = insert(writer)
    first = mirror.engine.version(question)
    delete(writer, number)
    insert(writer, project=2)
    mirror.sync()
    insert(writer, at=AT - timedelta(days=30))
    second = mirror.engine.version(question)
    assert first is not None
    assert second is not None
    assert first.data_version != second.data_version


def test_data_version_stays_while_other_projects_change(mirror: HandKept, connect: Write) -> None:
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    question = Dau(SHOP, DayRange(DAY, DAY))
    versions = set()
    for _ in range(3):
        insert(writer, project=2)
        mirror.sync()
        version = mirror.engine.version(question)
        assert version is not None
        versions.add(version.data_version)
    assert len(versions) == 1


def test_tidemark_passes_removals_of_events_it_never_held(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    """Else each question would count them, and nobody could prune them."""
    writer = connect()
    mirror.open_or_build()
    held = mirror.state().horizon
    delete(writer, insert(writer))
    mirror.sync()
    assert mirror.state().horizon > held
    mirror.prune()
    assert writer.execute("select count(*) from events_removed").fetchone() == (0,)
    exact()
    passed = mirror.state().horizon
    mirror.sync()
    assert mirror.state().horizon == passed


def test_a_transaction_that_removed_more_than_the_limit_is_pruned_in_parts(
    mirror: HandKept, connect: Write
) -> None:
    writer = connect()
    for number in range(1, 8):
        insert(writer, 70_000 + number)
    writer.execute("delete from events where event_id < %s", [event_id(70_006)])
    delete(writer, 70_006)
    delete(writer, 70_007)
    assert [lease.prune(writer, most=2) for _ in range(5)] == [2, 2, 2, 1, 0]


def test_all_that_may_be_pruned_is_pruned_at_the_keepers_pace(
    mirror: HandKept, connect: Write, monkeypatch: pytest.MonkeyPatch, exact: Exact
) -> None:
    """Not a part a minute, which more may come than; and a sync comes between the parts."""
    writer = connect()
    numbers = [insert(writer) for _ in range(5)]
    mirror.open_or_build()
    monkeypatch.setattr(lease, "AT_ONCE", 2)
    for number in numbers:
        delete(writer, number)
    left, waits = [], [1.0]
    for _ in range(3):
        waits.append(mirror.step(waits[-1]))
        left += writer.execute("select count(*) from events_removed").fetchall()
    assert left == [(3,), (1,), (0,)]
    assert waits[2] < 1.0
    assert waits[3] > waits[2]
    exact()


def test_backlog_too_large_for_one_sync_is_built_anew(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    numbers = [insert(writer) for _ in range(4)]
    mirror.open_or_build()
    monkeypatch.setattr(sync, "ROWS_BY_INDEX", 2)
    for limit, change in (("MOST_REMOVALS", delete), ("MOST_ROWS", insert)):
        monkeypatch.setattr(sync, limit, 2)
        for number in numbers[:3]:
            change(writer, number)
        with pytest.raises(MirrorBroken, match="building anew is cheaper"):
            mirror.sync()
        mirror.open_or_build()
        mirror.sync()
        exact()
