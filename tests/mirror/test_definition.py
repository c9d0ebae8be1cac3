"""Triggers that removals could pass by, columns that were rewritten: a table that has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analytics.mirror.errors import HistoryBroken
from tests.mirror.conftest import (
    SHOP,
    WINDOW,
    Write,
    cause_of_giving_up,
    delete,
    event_id,
    insert,
)
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]


@pytest.mark.parametrize("state", ["disable", "enable", "enable replica"])
def test_trigger_that_sessions_can_pass_by(mirror: HandKept, connect: Write, state: str) -> None:
    writer = connect()
    mirror.open_or_build()
    for trigger in ("events_log_deleted", "events_log_updated", "events_stamp_version"):
        writer.execute(f"alter table events {state} trigger {trigger}")  # type: ignore[arg-type]
        with pytest.raises(HistoryBroken, match="triggers") as caught:
            mirror.engine.answer(WINDOW.questions(SHOP)[0])
        assert caught.value.cause == "triggers"
        writer.execute(f"alter table events enable always trigger {trigger}")  # type: ignore[arg-type]
        mirror.open_or_build()


def test_nothing_is_built_while_removals_may_pass_unseen(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    insert(writer)
    writer.execute("alter table events disable trigger events_log_deleted")
    with pytest.raises(HistoryBroken, match="triggers"):
        mirror.open_or_build()
    writer.execute("alter table events enable always trigger events_log_deleted")
    mirror.open_or_build()
    exact()


def test_removal_past_disabled_triggers_is_noticed_after_they_are_back(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    number = insert(writer)
    mirror.open_or_build()
    writer.execute("alter table events disable trigger all")
    delete(writer, number)
    for trigger in ("stamp_version", "log_deleted", "log_updated", "start_epoch"):
        writer.execute(f"alter table events enable always trigger events_{trigger}")  # type: ignore[arg-type]
    assert cause_of_giving_up(mirror) == "events_definition"
    exact()


def test_column_rewritten_by_ddl_is_noticed(mirror: HandKept, connect: Write, exact: Exact) -> None:
    writer = connect()
    insert(writer, user="Ann")
    insert(writer, user="ann")
    mirror.open_or_build()
    writer.execute(
        'alter table events alter column user_id type text collate "C" using lower(user_id)'
    )
    assert cause_of_giving_up(mirror) == "events_definition"
    exact()


def test_upkeep_of_the_table_changes_no_history(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    writer = connect()
    number = insert(writer)
    insert(writer, user="bob")
    mirror.open_or_build()
    before = mirror.state().mirror_id
    delete(writer, number)
    for upkeep in ("vacuum (freeze, analyze) events", "reindex table events"):
        writer.execute(upkeep)  # type: ignore[arg-type]
        exact()
    writer.execute("create index extra on events (user_id)")
    writer.execute("alter table events add column extra text not null default 'x'")
    insert(writer, user="cid")
    writer.execute("update events set extra = 'y' where event_id <> %s", [event_id(0)])
    exact()
    mirror.sync()
    assert (mirror.verified().ok, mirror.state().mirror_id) == (True, before)
