"""Who people are in the file, and on which days they had events.

From memory (`users`), if that is of the state of the file; else by a pass over the file: some
milliseconds for 300,000 users, and some twenty for their five million days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analytics.duck import written
from analytics.mirror.periods import Integers
from analytics.mirror.state import State
from analytics.mirror.store import Cursor
from analytics.mirror.user_days import DaysOfUsers, UserDays
from analytics.mirror.users import NEVER, Keys, People, Users, strangers
from analytics.sql import statement

# Parts on their way into memory. Python's lock is held while names are put into another order, and
# not while numbers are.
_USERS_AT_ONCE: Final = 20_000
_DAYS_AT_ONCE: Final = 1_000_000
_NUMBERS: Final = """/* tidemark mirror users */ select
    (select count(*) from users) as users,
    (select count(*) from user_days) + (select count(*) from recent_user_days) as user_days"""
_USER_DAYS: Final = """/* tidemark mirror user days */
select user_key, day, events from user_days
union all
select user_key, day, events from recent_user_days"""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a transaction sees of people.

    Attributes:
        cursor: of the transaction.
        state: of the file, as it sees it.
        users: the people in memory, of this state or of another.
    """

    cursor: Cursor
    state: State
    users: Users

    def keys(self, people: People) -> Keys:
        """Who these people are in the file."""
        return self.users.find(self.state.token, people) or find_people(self.cursor, people)

    def days(self, keys: Integers, since: Integers) -> DaysOfUsers:
        """The days of the users with these keys, of each from that of `since` on."""
        if not len(keys):
            return DaysOfUsers(keys, keys, keys)
        user_days = self.users.days(self.state.token)
        if user_days is None:
            return find_user_days(self.cursor, keys, since)
        return user_days.find(keys, since)


def remember(cursor: Cursor, state: State, users: Users) -> None:
    """Put the users of the file in this state into memory, with their days, as far as they fit."""
    row = cursor.execute(_NUMBERS).fetchone()
    assert row is not None  # noqa: S101 - a select without from has one row
    number, of_days = row
    if not users.has_room_for(number):
        users.give_up()
        return
    user_days: UserDays | None = None
    if UserDays.fits(of_days):
        user_days = UserDays()
        for rows in cursor.execute(_USER_DAYS).to_arrow_reader(_DAYS_AT_ONCE):
            user_days = user_days.with_added(rows)
    everybody = cursor.execute(statement("sync", "everybody")).to_arrow_table()
    users.fill(state.token, everybody.to_batches(_USERS_AT_ONCE), user_days)


def find_people(cursor: Cursor, people: People) -> Keys:
    """Who the people are in the file, by a pass over it."""
    names = pa.table(
        {
            "person": pa.array(np.arange(len(people.names), dtype=np.int32)),
            "project_id": pa.array(people.projects.astype(np.int32)),
            "user_id": people.names,
        }
    )
    cursor.register("names", names)
    alike = cursor.execute(statement("sync", "people")).to_arrow_table()
    same = pc.and_(
        pc.equal(alike["user_id"], names["user_id"].take(alike["person"])),
        pc.equal(alike["project_id"], names["project_id"].take(alike["person"])),
    )
    found = alike.filter(same)
    keys, first_days, last_days = strangers(len(people.names))
    persons = found["person"].to_numpy()
    keys[persons] = found["user_key"].to_numpy()
    first_days[persons] = found["first_day"].to_numpy()
    last_days[persons] = NEVER
    return Keys(keys, first_days, last_days)


def find_user_days(cursor: Cursor, keys: Integers, since: Integers) -> DaysOfUsers:
    """What `Lookup.days` says of at least one user, by a pass over the file."""
    # Keys are dense, so a table of all numbers up to the largest says whose each one is.
    user_of_key = np.empty(keys.max() + 1, np.int64)
    user_of_key[keys] = np.arange(len(keys))
    # Written out, the earliest lets DuckDB skip row groups; a subquery in its place would not.
    days_since = written(statement("sync", "days"), {"since": int(since.min())})
    cursor.register("keys", pa.table({"user_key": pa.array(keys.astype(np.int32))}))
    found = cursor.execute(days_since).to_arrow_table()
    users = user_of_key[found["user_key"].to_numpy()]
    days = found["day"].to_numpy().astype(np.int64)
    wanted = days >= since[users]
    return DaysOfUsers(users[wanted], days[wanted], found["events"].to_numpy()[wanted])
