"""The days of users in memory add up to those of a dict, after any number of syncs."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.mirror import user_days
from analytics.mirror.user_days import UserDays

FIRST, LAST = -(2**23), 2**23 - 1

KEYS = st.integers(0, 4) | st.sampled_from([2**31 - 2, 2**31 - 1])
DAYS = st.integers(-3, 3) | st.sampled_from([FIRST, LAST])
EVENTS = st.integers(-2, 2) | st.just(2**40)

EXAMPLES = settings(max_examples=200)

rows = st.lists(st.tuples(KEYS, DAYS, EVENTS), max_size=12)
asked = st.dictionaries(KEYS, DAYS, max_size=8)


def table(of: list[tuple[int, int, int]]) -> pa.Table:
    keys, days, events = zip(*of, strict=True) if of else ((),) * 3
    return pa.table(
        {
            "day": pa.array(days, pa.int32()),
            "user_key": pa.array(keys, pa.int32()),
            "events": pa.array(events, pa.int64()),
        }
    )


def sums(days: UserDays, since: dict[int, int]) -> dict[tuple[int, int], int]:
    keys = np.array(list(since), np.int64)
    found = days.find(keys, np.array(list(since.values()), np.int64))
    added = Counter[tuple[int, int]]()
    for user, day, events in zip(*(each.tolist() for each in found), strict=True):
        added[int(keys[user]), day] += events
    return {at: events for at, events in added.items() if events}


@EXAMPLES
@given(st.lists(rows, max_size=8), asked)
def test_they_add_up(syncs: list[list[tuple[int, int, int]]], since: dict[int, int]) -> None:
    days, expected = UserDays(), Counter[tuple[int, int]]()
    for sync in syncs:
        days = days.with_added(table(sync))
        for key, day, events in sync:
            expected[key, day] += events
    assert sums(days, since) == {
        (key, day): events
        for (key, day), events in expected.items()
        if events and key in since and day >= since[key]
    }


@EXAMPLES
@given(st.lists(st.integers(0, 40), max_size=30))
def test_runs_are_few_in_order_and_no_row_in_them_is_needless(sizes: list[int]) -> None:
    days, key = UserDays(), 0
    for size in sizes:
        days = days.with_added(table([(key + number, 0, 1) for number in range(size)]))
        key += size
    lengths = [len(run.codes) for run in days.runs]
    assert sum(lengths) == days.rows == key
    assert all(longer > user_days._RATIO * shorter for longer, shorter in pairwise(lengths))
    for run in days.runs:
        assert (np.diff(run.codes) > 0).all()
    backwards = table([(each, 0, -1) for each in range(key)])
    assert days.with_added(backwards).rows == 0


@EXAMPLES
@given(rows, rows)
def test_what_another_thread_is_reading_stays_as_it_is(
    before: list[tuple[int, int, int]], added: list[tuple[int, int, int]]
) -> None:
    days = UserDays().with_added(table(before))
    held = [(run.codes.copy(), run.events.copy()) for run in days.runs]
    days.with_added(table(added))
    for run, (codes, events) in zip(days.runs, held, strict=True):
        assert (run.codes == codes).all()
        assert (run.events == events).all()


def test_what_fits_is_by_what_a_row_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    days = UserDays().with_added(table([(1, 0, 1), (2, 0, 1)]))
    taken = sum(array.nbytes for run in days.runs for array in run)
    monkeypatch.setattr(user_days, "MOST_BYTES", taken)
    assert UserDays.fits(days.rows)
    assert not UserDays.fits(days.rows + 1)
