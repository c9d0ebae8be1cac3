"""The dictionary of users in memory finds whom a dict would find, as of the one token it is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.mirror import user_days, users
from analytics.mirror.user_days import UserDays
from analytics.mirror.users import BEFORE, NEVER, Applied, Keys, People, Users

Who = tuple[int, str]
Entry = tuple[int, int, int]

# More bytes than there are weights; bytes that only a longer name has; names that begin alike.
NAMES = ("", "a", "b", "ab", "ba", "aa", "ä", "🦦", "x" * 1025, "x" * 1024 + "y", "x" * 3000)
EVERYBODY = [(project, name) for project in (1, 2, 2**31 - 1) for name in NAMES]
DAYS = st.integers(-5, 5) | st.sampled_from([-(2**23), 2**23 - 1])

whos = st.lists(st.sampled_from(EVERYBODY), unique=True, max_size=12)
# Of each sync: who is in its batch, and what is left of them: first and last day, or nothing.
changes = st.dictionaries(
    st.sampled_from(EVERYBODY), st.none() | st.tuples(DAYS, DAYS | st.just(NEVER)), max_size=12
)


def people(them: list[Who]) -> People:
    projects = np.array([project for project, _ in them], np.int64)
    # A slice, as a batch's names may be one.
    names = pa.array(["before", *(name for _, name in them), "behind"], pa.string())
    return People(projects, names.slice(1, len(them)), np.zeros(len(them), np.int64))


def keys(entries: list[Entry]) -> Keys:
    table = np.array(entries, np.int64).reshape(-1, 3)
    return Keys(*table.T)


def everybody(file: Mapping[Who, Entry], at_once: int) -> Iterator[pa.RecordBatch]:
    rows = [(*who, *entry) for who, entry in file.items()]
    for start in range(0, len(rows), at_once):
        columns = zip(*rows[start : start + at_once], strict=True)
        types = (pa.int32(), pa.string(), pa.int32(), pa.int32(), pa.int32())
        names = ("project_id", "user_id", "user_key", "first_day", "last_day")
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        yield pa.record_batch(arrays, names)


def applied(
    them: list[Who], was: list[Entry], now: list[Entry], days: pa.Table | None = None
) -> Applied:
    no_days = pa.table({name: pa.array([], pa.int32()) for name in ("user_key", "day", "events")})
    return Applied(people(them), keys(was), keys(now), days or no_days)


def expected(file: Mapping[Who, Entry], them: list[Who]) -> list[Entry]:
    return [file.get(who, (-1 - number, NEVER, BEFORE)) for number, who in enumerate(them)]


def found(memory: Users, token: UUID, them: list[Who]) -> list[Entry] | None:
    keys = memory.find(token, people(them))
    return keys and [tuple(row) for row in np.column_stack(keys).tolist()]


@given(
    at_first=changes,
    syncs=st.lists(changes, max_size=6),
    at_once=st.integers(1, 5),
    recent=st.sampled_from([0, 3, 20_000]),
    alike=st.booleans(),
)
def test_it_finds_whom_the_file_has(
    at_first: dict[Who, tuple[int, int] | None],
    syncs: list[dict[Who, tuple[int, int] | None]],
    at_once: int,
    recent: int,
    alike: bool,
) -> None:
    """`alike`: everybody meets in one hash; `recent`: newcomers are sorted in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "LEAST_RECENT", recent)
        patch.setattr(users, "RECENT_SHARE", 0)
        patch.setattr(users, "_NAMES_AT_ONCE", 5)
        if alike:
            patch.setattr(users, "_WEIGHTS", np.zeros(1024, np.uint64))
            patch.setattr(users, "_PROJECT_WEIGHT", np.uint64(0))
        there = {who: days for who, days in at_first.items() if days}
        file = {who: (key, *days) for key, (who, days) in enumerate(there.items(), 1)}
        memory, token = Users(), UUID(int=0)
        assert memory.wants(token)
        memory.fill(token, everybody(file, at_once), None)
        assert found(memory, token, EVERYBODY) == expected(file, EVERYBODY)
        next_key = len(file) + 1
        for number, sync in enumerate(syncs, 1):
            them = [who for who, days in sync.items() if days or who in file]
            was = expected(file, them)
            for who in them:
                days = sync[who]
                if days is None:
                    del file[who]
                else:
                    file[who] = (file[who][0] if who in file else next_key, *days)
                    next_key += 1
            now = [file.get(who, (was[at][0], NEVER, NEVER)) for at, who in enumerate(them)]
            after = UUID(int=number)
            memory.advance(token, after, applied(them, was, now))
            assert found(memory, token, EVERYBODY) is None
            assert not memory.wants(after)
            token = after
            assert found(memory, token, EVERYBODY) == expected(file, EVERYBODY)
        assert found(memory, token, EVERYBODY[::-1]) == expected(file, EVERYBODY[::-1])


@given(whos)
def test_of_another_state_it_says_nothing_and_learns_nothing(them: list[Who]) -> None:
    memory, token, another, after = Users(), *(UUID(int=number) for number in range(3))
    memory.fill(token, everybody({}, 1), UserDays())
    now = [(number, 1, 1) for number in range(len(them))]
    memory.advance(another, after, applied(them, expected({}, them), now))
    assert memory.find(after, people(them)) is None
    assert memory.days(after) is None
    assert found(memory, token, them) == expected({}, them)
    assert memory.days(token) == UserDays()


def test_what_another_thread_is_reading_stays_as_it_is() -> None:
    them = EVERYBODY[:3]
    file = {who: (key, 1, 2) for key, who in enumerate(them, 1)}
    memory, token, after = Users(), UUID(int=0), UUID(int=1)
    memory.fill(token, everybody(file, 1), None)
    held = memory._version
    assert held
    numbers = held.most.numbers.copy()
    now = [(1, 1, 3), (2, 0, 2), (3, NEVER, NEVER)]
    memory.advance(token, after, applied(them, list(file.values()), now))
    assert (held.most.numbers == numbers).all()
    assert found(memory, after, them) == [*now[:2], (-3, NEVER, BEFORE)]


@pytest.mark.parametrize("full", ["filled", "advanced"])
def test_more_than_it_may_hold_it_lets_go_for_good(
    monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    monkeypatch.setattr(users, "MOST_BYTES", 50)
    them = EVERYBODY[:3]
    file = {who: (key, 1, 1) for key, who in enumerate(them, 1)}
    memory, token, after = Users(), UUID(int=0), UUID(int=1)
    if full == "filled":
        memory.fill(after, everybody(file, 1), UserDays())
    else:
        memory.fill(token, everybody({}, 1), UserDays())
        memory.advance(token, after, applied(them, expected({}, them), list(file.values())))
    assert memory.find(after, people(them)) is None
    assert memory.days(after) is None
    assert not memory.wants(UUID(int=2))


def test_days_move_on_with_the_users_until_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_days, "MOST_BYTES", 2 * user_days.BYTES_A_ROW)
    memory, them = Users(), EVERYBODY[:3]
    tokens = [UUID(int=number) for number in range(4)]
    memory.fill(tokens[0], everybody({}, 1), UserDays())
    for number, who in enumerate(them):
        days = pa.table({"user_key": [number], "day": [1], "events": [1]})
        before, now = expected({}, [who]), [(number, 1, 1)]
        memory.advance(tokens[number], tokens[number + 1], applied([who], before, now, days))
        assert memory.days(tokens[number]) is None
        known = memory.days(tokens[number + 1])
        assert (known and known.rows) == (number + 1 if number < 2 else None)
    assert found(memory, tokens[3], them) == [(number, 1, 1) for number in range(3)]
