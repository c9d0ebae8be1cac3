"""One person's events removed in one transaction, and how far it, or a deletion, has come since.

What Postgres has committed is gone for every exact answer. The rest takes a while, and the receipt
says when it is done: each mirror has to pass the transaction, then to replace its file, for the old
one held the person (analytics.mirror.erasures); and the log of removals has to be pruned.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.errors import Terminal
from analytics.events import MAX_TEXT_CHARACTERS, ProjectId


class UnknownErasure(Terminal):
    """The project has no such erasure."""

    code = "unknown_erasure"


class InvalidUserId(Terminal):
    """A user id has 1 to 200 characters and no NUL."""

    code = "invalid_user_id"


class Mirrors(NamedTuple):
    """How many files of mirrors there are, and how far they are with one erasure.

    Attributes:
        living: files that a server keeps now, or kept within the hour.
        passed: of these, those that have taken the removed events out of their answers.
        clean: of these, those that never held the person.
        asleep: files that nobody has kept for longer and that may hold the person. Their server
            replaces them before they answer again, if it ever comes back.
    """

    living: int
    passed: int
    clean: int
    asleep: int


class Receipt(NamedTuple):
    """What an erasure, or the deletion of a project, removed, and what is left to do.

    Attributes:
        transaction: the 64-bit number of the Postgres transaction that removed the events.
        removed_at: UTC instant when that transaction began.
        removed: whether all are gone: at once of a person, in batches of a deleted project.
        log_pruned: whether the log of removals, too, has forgotten the events.
    """

    id: UUID
    events: int
    transaction: int
    removed_at: datetime
    mirrors: Mirrors
    removed: bool
    log_pruned: bool

    @property
    def done(self) -> bool:
        """Whether neither Postgres, nor a living mirror, nor the log holds the events any more."""
        of = self.mirrors
        return self.removed and self.log_pruned and of.passed == of.clean == of.living


_ERASE: Final = text("""
    with gone as (
        delete from events where project_id = :project_id and user_id = :user_id returning 1
    )
    insert into erasures (project_id, events) select :project_id, count(*) from gone returning id
""")
_READ: Final = text("""
    select
        erasures.id, erasures.events, erasures.removed_xid::text::bigint as transaction,
        erasures.removed_at,
        asked_by is null or not exists (
            select from events where events.project_id = erasures.project_id
        ) as removed,
        mirror_state.removed_floor > removed_xid and not exists (
            select from events_removed as logged where logged.removed_xid <= erasures.removed_xid
        ) as log_pruned,
        count(leases.id) filter (where expires_at > now()) as living,
        count(leases.id) filter (where expires_at > now() and horizon > removed_xid) as passed,
        count(leases.id) filter (where expires_at > now() and clean_below > removed_xid) as clean,
        count(leases.id) filter (where expires_at <= now() and clean_below <= removed_xid) as asleep
    from erasures
    cross join mirror_state
    left join mirror_leases as leases on true
    where erasures.id = :id and (
        erasures.project_id = :project_id and asked_by is null
        or asked_by = cast(:asked_by as integer)
    )
    group by erasures.id, mirror_state.removed_floor
""")


async def erase(connection: AsyncConnection, project_id: ProjectId, user_id: str) -> UUID:
    """Removes every event of a user of the project; the id of its receipt, also if there was none.

    There is no index by user: the project's events are looked through. Events of the user that
    others are writing at this moment, or later, stay.

    Raises:
        InvalidUserId: No event can have this user id.
    """
    if not 1 <= len(user_id) <= MAX_TEXT_CHARACTERS or "\0" in user_id:
        raise InvalidUserId(field="user_id")
    values = {"project_id": project_id, "user_id": user_id}
    return UUID(str((await connection.execute(_ERASE, values)).scalar_one()))


async def receipt(connection: AsyncConnection, project_id: ProjectId, erasure_id: UUID) -> Receipt:
    """An erasure of the project, and how far it has come by now.

    Raises:
        UnknownErasure: The project has no such erasure.
    """
    found = await _read(connection, id=erasure_id, project_id=project_id, asked_by=None)
    if found is None:
        raise UnknownErasure(f"This project has no erasure {erasure_id}.")
    return found


async def of_deletion(connection: AsyncConnection, asked_by: int, deletion_id: UUID) -> Receipt:
    """The deletion of a project by this user, and how far it has come by now.

    Raises:
        UnknownErasure: They deleted none with this receipt.
    """
    found = await _read(connection, id=deletion_id, project_id=None, asked_by=asked_by)
    if found is None:
        raise UnknownErasure(f"You have deleted no project with the receipt {deletion_id}.")
    return found


async def _read(connection: AsyncConnection, **which: object) -> Receipt | None:
    row = (await connection.execute(_READ, which)).one_or_none()
    if row is None:
        return None
    mirrors = Mirrors(row.living, row.passed, row.clean, row.asleep)
    return Receipt(
        row.id,
        row.events,
        row.transaction,
        row.removed_at,
        mirrors,
        bool(row.removed),
        bool(row.log_pruned),
    )
