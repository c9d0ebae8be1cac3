"""No room on the disk in a sync, a checkpoint, a build, a question; here, files may not grow."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from analytics.duck import DuckLimits
from analytics.mirror.errors import MirrorBroken, MirrorUnavailable
from tests.mirror.comparison import Comparison
from tests.mirror.conftest import AT, SHOP, WINDOW, Write, insert
from tests.mirror.hand_kept import HandKept

Exact = Callable[[], None]
QUESTIONS = WINDOW.questions(SHOP)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process can grow past so many bytes; Python makes the signal an error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(connect: Write, events: int) -> None:
    connect().execute(
        "insert into events (project_id, event_id, occurred_at, user_id, event_type)"
        " select 1, gen_random_uuid(), %s::timestamptz + number * interval '1 second',"
        " 'somebody with a long name ' || number, 'look' from generate_series(1, %s) as number",
        [AT, events],
    )


@pytest.mark.parametrize("size", [1_000, 300_000])
def test_sync_without_room_for_its_log_leaves_the_file_as_it_was(
    mirror: HandKept, connect: Write, exact: Exact, tmp_path: Path, size: int
) -> None:
    insert(connect())
    mirror.open_or_build()
    before = mirror.state()
    fill(connect, 10_000)
    for _ in range(2):
        with files_of_at_most(size), pytest.raises(MirrorUnavailable) as caught:
            mirror.sync()
        assert (caught.value.cause, mirror.state()) == ("disk", before)
        exact()
    mirror.leave_files(tmp_path / "killed")
    with HandKept(mirror.database, tmp_path / "killed") as restarted:
        restarted.open_or_build()
        assert restarted.state() == before
        with closing(Comparison(restarted)) as comparison:
            comparison.check(SHOP, QUESTIONS)
    mirror.sync()
    assert mirror.verified().ok
    exact()


def test_checkpoint_without_room_costs_the_mirror_and_no_answer(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    insert(connect())
    mirror.open_or_build()
    fill(connect, 10_000)
    mirror.sync()
    with files_of_at_most(1_000):
        with pytest.raises(MirrorBroken):
            mirror.store().checkpoint()
        with pytest.raises(MirrorUnavailable):
            mirror.engine.answer(QUESTIONS[0])
        with pytest.raises(MirrorUnavailable):
            mirror.open_or_build()
    mirror.open_or_build()
    exact()


def test_build_without_room_leaves_nothing_behind(
    mirror: HandKept, connect: Write, exact: Exact
) -> None:
    fill(connect, 10_000)
    for size in (0, 1_000, 300_000):
        with files_of_at_most(size), pytest.raises(MirrorUnavailable):
            mirror.open_or_build()
    mirror.open_or_build()
    assert len(mirror.home.files()) == 1
    exact()


def test_question_without_room_to_spill_is_told_and_changes_nothing(
    mirror: HandKept, connect: Write
) -> None:
    fill(connect, 120_000)
    mirror.open_or_build()
    mirror.close()
    limits = DuckLimits(threads=1, memory_megabytes=8)
    with HandKept(mirror.database, mirror._plan.folder, limits) as poor:
        poor.open_or_build()
        connect().execute("update events set user_id = user_id || '!'")
        with files_of_at_most(10_000), pytest.raises(MirrorUnavailable) as caught:
            poor.engine.answer(QUESTIONS[0])
        assert caught.value.cause in {"disk", "memory"}
    with HandKept(mirror.database, mirror._plan.folder) as rich:
        rich.open_or_build()
        with closing(Comparison(rich)) as comparison:
            comparison.check(SHOP, QUESTIONS[:2])
