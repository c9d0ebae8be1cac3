"""What Postgres must keep for a mirror, and what may be pruned because no mirror needs it any more.

Each file has a row in `mirror_leases`: its tidemark, a token that the file knows too, and a time
until which it may be counted on. Leases only say how far pruning may go. Whether a file is still
good is said by `removed_floor` and the token, so a process that slept past its lease is safe.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from analytics.mirror.columns import Connection

LIFETIME: Final = timedelta(hours=1)
AT_ONCE: Final = 100_000
"""How many removals are pruned at once: well under a second."""

# A lease nobody renewed for so long belongs to a mirror that is gone.
_FORGOTTEN: Final = timedelta(days=7)

# synchronous_commit: what a snapshot saw may not have been flushed yet when it was read. The flush
# of this later commit flushes it too, so a crash of Postgres can't take back what a mirror holds.
_REGISTER: Final = """/* tidemark mirror register */
insert into mirror_leases (id, horizon, clean_below, token, expires_at)
select %(id)s, xmin, xmin, %(token)s, now() + %(lifetime)s
from pg_snapshot_xmin(pg_current_snapshot()) as xmin"""
_ADVANCE: Final = """/* tidemark mirror advance */
update mirror_leases
set
    horizon = %(horizon)s::text::xid8, previous_token = %(known)s, token = %(token)s,
    expires_at = now() + %(lifetime)s
where id = %(id)s"""
_RENEW: Final = """/* tidemark mirror renew */
update mirror_leases set expires_at = now() + %(lifetime)s where id = %(id)s"""
_RELEASE: Final = "/* tidemark mirror release */ delete from mirror_leases where id = %(id)s"
_FORGET: Final = """/* tidemark mirror forget */
delete from mirror_leases where expires_at < now() - %(forgotten)s"""

# Raised before anything below it is deleted, so a mirror that lacks a removal always finds it so.
_RAISE: Final = """/* tidemark mirror raise floor */
with held as (
    select least(
        (select min(horizon) from mirror_leases where expires_at > now()),
        pg_snapshot_xmin(pg_current_snapshot())
    ) as floor
)
update mirror_state set removed_floor = held.floor from held where held.floor > removed_floor"""
# A limit, for while a transaction writes the tidemark can't pass it: ten million removals, deleted
# by one, kept every mirror from going on for as long.
_PRUNE: Final = """/* tidemark mirror prune */
delete from events_removed where ctid = any (array(
    select ctid from events_removed
    where removed_xid < (select removed_floor from mirror_state)
    order by removed_xid
    limit %(most)s
))"""


def register(connection: Connection, mirror_id: UUID, token: UUID) -> None:
    """A lease for a file about to be built, before anything is read for it.

    What transactions settled by now have removed will never be in the file: `clean_below`.
    """
    _write(connection, _REGISTER, id=mirror_id, token=token)


def advance(
    connection: Connection, mirror_id: UUID, horizon: int, *, known: UUID, token: UUID
) -> bool:
    """Note the tidemark of a sync under a new token; `known` is the one that the file has.

    Called after the sync has read and before the file commits: if the file doesn't, it goes on
    with `known`. False if the lease is gone.
    """
    return _write(
        connection, _ADVANCE, id=mirror_id, horizon=str(horizon), known=known, token=token
    )


def renew(connection: Connection, mirror_id: UUID) -> bool:
    """Keep the lease of a mirror with nothing to sync. False if it is gone."""
    return _write(connection, _RENEW, id=mirror_id)


def release(connection: Connection, mirror_id: UUID) -> None:
    """Give the lease of a file back that is about to be deleted."""
    connection.execute(_RELEASE, {"id": mirror_id})


def prune(connection: Connection, most: int = AT_ONCE) -> int:
    """Delete removals that every living mirror has passed, at most so many; how many they were.

    Takes the writer's rights, and a connection in autocommit. Forgets leases, too, that were not
    renewed for a week.
    """
    connection.execute(_FORGET, {"forgotten": _FORGOTTEN})
    connection.execute(_RAISE)
    return connection.execute(_PRUNE, {"most": most}).rowcount


def _write(connection: Connection, statement: str, **parameters: object) -> bool:
    with connection.transaction():
        connection.execute("set local synchronous_commit = on")
        cursor = connection.execute(statement, {**parameters, "lifetime": LIFETIME})
        return cursor.rowcount == 1
