"""Too long a tail, too little time or memory: whoever can answers, and the file stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics.duck import DuckLimits
from analytics.engines.mirrored import MirrorEngine
from analytics.errors import DeadlineExceeded
from analytics.mirror.errors import MirrorUnavailable
from tests.mirror.comparison import Comparison
from tests.mirror.conftest import AT, SHOP, WINDOW, Write, insert
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]
QUESTIONS = WINDOW.questions(SHOP)


def test_tail_too_long_is_synced_first_and_else_left_to_other_engines(
    mirror: HandKept, connect: Write, exact: Exact, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = connect()
    mirror.open_or_build()
    monkeypatch.setattr("analytics.mirror.look.MOST_EVENTS", 1)
    for user in ("ann", "bob", "cid"):
        insert(writer, user=user)
    exact()
    holding = connect(open_transaction=True)
    for user in ("dan", "eve", "flo"):
        insert(writer, user=user)
    with pytest.raises(MirrorUnavailable) as caught:
        mirror.engine.answer(QUESTIONS[0])
    assert caught.value.cause == "tail"
    holding.rollback()
    exact()


def test_deadline_ends_a_question_and_nothing_else(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    insert(connect())
    mirror.open_or_build()
    hasty = MirrorEngine(mirror, timeout=timedelta(seconds=0.2))
    locking = connect(open_transaction=True)
    locking.execute("lock table events in access exclusive mode")
    with pytest.raises(DeadlineExceeded):
        hasty.answer(QUESTIONS[0])
    locking.rollback()
    exact()


@pytest.fixture
def crowded(mirror: HandKept, connect: Write) -> psycopg.Connection[Any]:
    """Forty thousand events of as many users, above the tidemark of an empty mirror."""
    writer = connect()
    insert(writer)
    mirror.open_or_build()
    writer.execute(
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " select 1, gen_random_uuid(), %s::timestamptz + number * interval '1 second',"
        " 'somebody with a long name ' || number, 'look' from generate_series(1, 40000) as number",
        [AT],
    )
    return writer


def test_too_little_memory_for_a_question_is_told_and_changes_nothing(
    mirror: HandKept, crowded: psycopg.Connection[Any], tmp_path: Path
) -> None:
    mirror.sync()
    mirror.close()
    starved = DuckLimits(threads=1, memory_megabytes=6, spill_megabytes=1)
    with HandKept(mirror.database, mirror._plan.folder, starved) as poor:
        poor.open_or_build()
        crowded.execute("update events set user_id = user_id || '!'")
        with pytest.raises(MirrorUnavailable) as caught:
            poor.engine.answer(QUESTIONS[0])
        assert caught.value.cause in {"memory", "disk"}
    with HandKept(mirror.database, mirror._plan.folder) as rich:
        rich.open_or_build()
        with closing(Comparison(rich)) as comparison:
            comparison.check(SHOP, QUESTIONS[:2])
            rich.sync()
            assert rich.verified().ok
            comparison.check(SHOP, QUESTIONS[:2])


def test_too_little_memory_for_a_sync_leaves_the_file_as_it_was(
    mirror: HandKept, crowded: psycopg.Connection[Any]
) -> None:
    before = mirror.state()
    mirror.close()
    starved = DuckLimits(threads=1, memory_megabytes=6, spill_megabytes=1)
    with HandKept(mirror.database, mirror._plan.folder, starved) as poor:
        poor.open_or_build()
        with pytest.raises(MirrorUnavailable) as caught:
            poor.sync()
        assert caught.value.cause in {"memory", "disk"}
    with HandKept(mirror.database, mirror._plan.folder) as rich:
        rich.open_or_build()
        assert rich.state() == before
        rich.sync()
        assert rich.verified().ok
