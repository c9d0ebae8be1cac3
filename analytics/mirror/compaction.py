"""One sorted run out of many small ones, once enough has piled up.

Every sync adds a run, with a row for each user and day in it. If they all stayed, the days of users
would grow as fast as `events`, and with them what a question reads that has a tail. To rewrite five
million rows costs a second; so syncs add to `recent_user_days`, which is rewritten often, for it is
small. It becomes part of `user_days` once a good part would be won, and rows of removed events,
which only carry a mark, leave `events` then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from analytics.mirror.store import Cursor, Store

RECENT_SHARE, LEAST_RECENT = 0.5, 20_000
USER_DAYS_SHARE, LEAST_USER_DAYS = 0.5, 500_000
REMOVED_SHARE, LEAST_REMOVED = 0.2, 100_000

TIMEOUT: Final = timedelta(seconds=30)
_SIZES: Final = """/* tidemark mirror sizes */
select
    (select estimated_size from duckdb_tables() where table_name = 'user_days') as user_days,
    (select estimated_size from duckdb_tables() where table_name = 'recent_user_days') as recent,
    (select estimated_size from duckdb_tables() where table_name = 'events') as events"""
_RECENT: Final = """/* tidemark mirror compact recent_user_days */
create table compacted as
select project_id, day, user_key, sum(events)::bigint as events
from recent_user_days
group by all
having sum(events) <> 0
order by all"""
_USER_DAYS: Final = """/* tidemark mirror compact user_days */
create table compacted as
select project_id, day, user_key, sum(events)::bigint as events
from (from user_days union all from recent_user_days) as all_days
group by all
having sum(events) <> 0
order by all"""
_EVENTS: Final = """/* tidemark mirror compact events */
create table compacted as
select * from events order by project_id, day, type_key, user_key, occurred_at"""


@dataclass(slots=True)
class Piled:
    """What is to be done once there is enough of it.

    Attributes:
        user_days: rows added to `recent_user_days` since it was rewritten.
        removed: events removed since theirs was.
        unwritten: whether a rewritten table still lies in the log beside the old one in the file.
    """

    user_days: int = 0
    removed: int = 0
    unwritten: bool = False


def compact(store: Store, piled: Piled) -> bool:
    """Rewrite what has piled up past its share, and count anew; whether anything was rewritten.

    Raises:
        MirrorBroken, MirrorUnavailable: see `Store.writing`; nothing is lost.
    """
    rewritten = _rewrite_tables(store, piled)
    if piled.unwritten and store.checkpoint():
        piled.unwritten = False
    return rewritten


def _rewrite_tables(store: Store, piled: Piled) -> bool:
    if piled.user_days <= LEAST_RECENT and piled.removed <= LEAST_REMOVED:
        return False
    with store.reading(TIMEOUT) as (cursor, _):
        row = cursor.execute(_SIZES).fetchone()
    assert row is not None  # noqa: S101 - a select without from has one row
    user_days, recent, events = row
    many_recent = piled.user_days > max(LEAST_RECENT, RECENT_SHARE * (recent - piled.user_days))
    many_days = many_recent and recent > max(LEAST_USER_DAYS, USER_DAYS_SHARE * user_days)
    many_removed = piled.removed > max(LEAST_REMOVED, REMOVED_SHARE * events)
    if not many_recent and not many_removed:
        return False
    with store.writing(large=True) as cursor:
        if many_days:
            _rewrite(cursor, "user_days", _USER_DAYS)
            cursor.execute("delete from recent_user_days")
        elif many_recent:
            _rewrite(cursor, "recent_user_days", _RECENT)
        if many_removed:
            _rewrite(cursor, "events", _EVENTS)
    if many_recent:
        piled.user_days = 0
    if many_removed:
        piled.removed = 0
    piled.unwritten |= many_days or many_removed
    return True


def _rewrite(cursor: Cursor, table: str, statement: str) -> None:
    cursor.execute(statement)
    cursor.execute(f"drop table {table}")
    cursor.execute(f"alter table compacted rename to {table}")
