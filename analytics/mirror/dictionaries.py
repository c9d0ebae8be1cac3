"""Who enters the file's dictionaries: users and event types by number.

Each name of a batch is looked up once (`lookup`); behind that everything goes by numbers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analytics.mirror.batch import Batch
from analytics.mirror.periods import Flags, Integers
from analytics.mirror.store import Cursor
from analytics.mirror.users import NEVER, Keys
from analytics.sql import statement

_LAST_USER: Final = "/* tidemark mirror last user */ select coalesce(max(user_key), 0) from users"
_EVENT_TYPES: Final = """/* tidemark mirror event types */
select type_key, event_type from event_types"""


def with_next_keys(cursor: Cursor, known: Keys) -> Keys:
    """The same, with the next keys for those whom the dictionary lacks."""
    lacking = known.keys < 0
    if not lacking.any():
        return known
    row = cursor.execute(_LAST_USER).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without groups has one row
    keys = known.keys.copy()
    keys[lacking] = row[0] + 1 + np.arange(np.count_nonzero(lacking))
    return known._replace(keys=keys)


def enter_people(cursor: Cursor, batch: Batch, people: Keys, lacking: Flags) -> None:
    """Put those of the batch's people whom the dictionary lacks into it, as they are by now."""
    if not lacking.any():
        return
    first_days = people.first_days[lacking]
    newcomers = pa.table(
        {
            "user_key": pa.array(people.keys[lacking].astype(np.int32)),
            "project_id": pa.array(batch.people.projects[lacking].astype(np.int32)),
            "user_id": batch.people.names.filter(pa.array(lacking)),
            "first_day": pa.array(first_days.astype(np.int32), mask=first_days == NEVER),
        }
    )
    cursor.register("newcomers", newcomers)
    cursor.execute(statement("sync", "insert_users"))


def enter_types(cursor: Cursor, event_types: pa.ChunkedArray) -> Integers:
    """The key of each event type, once all of them are in the dictionary."""
    encoded = event_types.combine_chunks().dictionary_encode()
    known = cursor.execute(_EVENT_TYPES).to_arrow_table()
    known_keys = known["type_key"].to_numpy().astype(np.int64)
    at = pc.index_in(encoded.dictionary, value_set=known["event_type"])
    lacking = np.flatnonzero(at.is_null())
    # A last one for what is at none, which gets its own right away.
    keys = np.append(known_keys, 0)[at.fill_null(len(known_keys)).to_numpy()]
    keys[lacking] = known_keys.max(initial=0) + 1 + np.arange(len(lacking))
    if len(lacking):
        newcomers = pa.table(
            {
                "type_key": pa.array(keys[lacking].astype(np.int32)),
                "event_type": encoded.dictionary.take(pa.array(lacking)),
            }
        )
        cursor.register("newcomers", newcomers)
        cursor.execute(statement("sync", "insert_event_types"))
    each: Integers = keys[encoded.indices.to_numpy()]
    return each
