"""Each guard of the mirror is needed: without it the test that stands for it fails.

docs/mirror-proof.md has the same table for readers; a test here keeps the two equal.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics.engines.attached import AttachedEngine
from analytics.mirror.errors import MirrorUnavailable
from tests.mirror import test_crash as crash
from tests.mirror import test_definition as definition
from tests.mirror import test_erasure as erasure
from tests.mirror import test_glimpse as glimpse
from tests.mirror import test_history as history
from tests.mirror import test_history_of_writes as writes
from tests.mirror import test_looks as shared
from tests.mirror import test_users_in_memory as memory
from tests.mirror.conftest import SHOP, WINDOW
from tests.mirror.hand_kept import HandKept
from tests.mirror.seeded_bugs import BUGS, in_sql

PAGE = Path(__file__).parents[2] / "docs" / "mirror-proof.md"

AGAIN = writes.test_event_deleted_and_written_again_by_an_older_transaction_is_kept
LATE = writes.test_late_event_moves_a_user_to_another_cohort_and_its_removal_back
LONG = writes.test_long_transaction_holds_the_tidemark_and_is_counted_when_it_commits
ONE = writes.test_one_transaction_that_writes_deletes_and_writes_again
LEASE = history.test_living_lease_keeps_what_its_mirror_needs
PREPARED = writes.test_prepared_transaction_is_counted_when_it_is_committed_long_after

CAUGHT_BY: dict[str, Callable[..., None]] = {
    "rows above the tidemark are synced": PREPARED,
    "rows above the tidemark are built in": LONG,
    "rows below the last tidemark are synced again": AGAIN,
    "tail begins above the tidemark": LONG,
    "tail begins at nothing": PREPARED,
    "questions don't read the log of removals": LEASE,
    "questions set off removals of the tail, too": ONE,
    "syncs don't read the log of removals": LATE,
    "syncs take removals above the tidemark": AGAIN,
    "removals match by id alone": AGAIN,
    "doomed events are not taken in": (
        writes.test_event_removed_before_its_tidemark_was_reached_is_set_off_once
    ),
    "floor is not checked": history.test_removals_pruned_while_the_mirror_slept_past_its_lease,
    "token is not checked": history.test_lease_that_knows_another_sync_means_a_state_put_back,
    "counter is not checked": history.test_counter_below_the_tidemark,
    "database is not compared": (
        history.test_dump_restored_into_another_database_is_another_history
    ),
    "table is not compared": history.test_dump_restored_in_place_changes_only_the_table,
    "epoch is not compared": (
        history.test_truncate_under_way_is_waited_for_before_anything_is_read
    ),
    "definition is not compared": definition.test_column_rewritten_by_ddl_is_noticed,
    "triggers are not counted": definition.test_nothing_is_built_while_removals_may_pass_unseen,
    "no lock before the snapshot": (
        history.test_truncate_under_way_is_waited_for_before_anything_is_read
    ),
    "state is read after the look": (
        history.test_sync_between_a_questions_file_and_its_look_changes_no_answer
    ),
    "a glimpse of the file is not checked": (glimpse.test_a_sync_behind_the_look_changes_no_answer),
    "answers are kept for ever": glimpse.test_a_statement_runs_once_between_two_commits,
    "a look under way is shared": shared.test_who_asks_during_a_look_shares_the_next,
    "the state is not read again after a commit": LATE,
    "what was found above the tidemark is kept": (
        glimpse.test_what_lies_above_is_looked_up_once_and_again_when_it_has_changed
    ),
    "counts are not checked": (
        history.test_removal_of_an_event_that_the_file_lacks_is_no_count_below_zero
    ),
    "tidemark is in force before its rows": crash.test_mirror_killed_at_any_step_goes_on,
    "late events move nobody": LATE,
    "removals move nobody": LATE,
    "days that changed are not looked at in the file": (
        writes.test_removal_of_a_later_event_leaves_the_cohort
    ),
    "days that changed are not looked at in memory": (
        memory.test_removal_of_one_of_two_events_of_the_last_day
    ),
    "users in memory are taken for those of any state": (
        memory.test_question_of_a_state_before_memorys_asks_the_file_for_users
    ),
    "days in memory are taken for those of any state": (
        memory.test_question_of_a_state_before_memorys_asks_the_file_for_days
    ),
    "days in memory stay as they were": (
        memory.test_last_day_whose_events_are_gone_is_the_last_no_longer
    ),
    "who left stays in memory": memory.test_who_left_and_came_again_is_somebody_new,
    "last days in memory move on only": (
        memory.test_last_day_whose_events_are_gone_is_the_last_no_longer
    ),
    "days in memory outlive their calendar": (
        memory.test_days_are_forgotten_with_the_calendar_they_are_of
    ),
    "last day settles removals": memory.test_removal_of_one_of_two_events_of_the_last_day,
    "last day settles late events": memory.test_event_before_the_last_day,
    "data version counts above an unknown tidemark": (
        writes.test_data_version_tells_an_event_from_one_that_went_between_two_tidemarks
    ),
    "a file of before answers alone before it is synced": (
        erasure.test_a_mirror_that_slept_answers_nothing_by_itself_before_it_is_synced
    ),
}
# Guards that can go because another covers them; docs/mirror-proof.md says which.
EQUIVALENT = {"removals are applied after rows": (AGAIN, ONE, LATE)}

_ARGUMENTS: dict[str, Any] = {"building": False, "back": 9}
_FIXTURES = tuple(
    pytest.param(bug, marks=pytest.mark.slow if CAUGHT_BY[bug].__module__ == crash.__name__ else ())
    for bug in CAUGHT_BY
)


def _run(test: Callable[..., None], request: pytest.FixtureRequest, bug: str) -> None:
    """The test with the fixtures it names, made before the bug is there and ended after it.

    Both patch by the one fixture: it may be the same that they patch, and the last goes first.
    """
    names = inspect.signature(test).parameters
    values = {
        name: _ARGUMENTS[name] if name in _ARGUMENTS else request.getfixturevalue(name)
        for name in names
    }
    patch = request.getfixturevalue("monkeypatch")
    try:
        BUGS[bug](patch)
        test(**values)
    finally:
        patch.undo()


@pytest.fixture
def dump(database: Any, tmp_path: Path) -> Callable[[], Path]:
    return history.dumper(database, tmp_path)


looks, settled, exact_behind = shared.looks, memory.settled, memory.exact_behind
other_database = history.other_database


@pytest.mark.parametrize("bug", _FIXTURES)
def test_bug_is_caught(bug: str, request: pytest.FixtureRequest) -> None:
    # What a test says where it fails, or a refusal in the place of an answer.
    failures = (AssertionError, pytest.fail.Exception, MirrorUnavailable)
    with pytest.raises(failures):
        _run(CAUGHT_BY[bug], request, bug)


@pytest.mark.parametrize(
    ("bug", "test"), [(bug, test) for bug, tests in EQUIVALENT.items() for test in tests]
)
def test_guard_that_another_covers_can_go(
    bug: str, test: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    _run(test, request, bug)


def test_two_scans_of_postgres_in_one_statement_show_in_the_plan(mirror: HandKept) -> None:
    engine = AttachedEngine(mirror.database.reader)
    try:
        question = WINDOW.questions(SHOP)[1]
        assert engine.explain(question).count("POSTGRES_SCAN") == 1
        with pytest.MonkeyPatch.context() as patch:
            twice = "from (from pg.public.events union all from pg.public.events)"
            in_sql("attached/top_events", "from pg.public.events", twice)(patch)
            assert engine.explain(question).count("POSTGRES_SCAN") == 2
    finally:
        engine.close()


def test_every_bug_is_in_one_of_the_tables_and_on_the_page() -> None:
    assert BUGS.keys() == CAUGHT_BY.keys() | EQUIVALENT.keys()
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|", PAGE.read_text(), re.MULTILINE))
    expected = {bug: f"`{test.__name__}`" for bug, test in CAUGHT_BY.items()}
    assert {bug: rows.get(bug) for bug in expected} == expected
    assert EQUIVALENT.keys() <= rows.keys()
