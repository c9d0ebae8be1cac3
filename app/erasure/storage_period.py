"""How long each project keeps events, and the removal of older ones.

Whole days go, those of the project's own time zone: a day that has lost some of its events would
still be counted. With them go the events of projects that are no more, which senders under way may
have left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import asyncpg
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import day_starts, local_date
from analytics.errors import Transient
from analytics.events import ProjectId
from app.database.pools import connect
from app.database.tables import projects
from app.erasure.batches import Which

MOST_DAYS: Final = 36_500
# One run at a time in the whole database; the lock goes with the connection that does the work.
_LOCK: Final = 0x7469_6465_0001

_PERIODS: Final = """/* tidemark storage periods */
select id, name, timezone, storage_days from projects where storage_days is not null order by id"""
# Looks up one project's first event after another: few steps, however many events.
_ORPHANS: Final = """/* tidemark events without a project */
with recursive present as (
    (select project_id from events order by project_id limit 1)
    union all
    select (
        select project_id from events
        where project_id > present.project_id order by project_id limit 1
    )
    from present where project_id is not null
)
select project_id from present
where project_id is not null and not exists (select from projects where id = project_id)
order by project_id"""


class ExpiryRunning(Transient):
    """Another process is removing expired events just now; it does all there is to do."""

    code = "expiry_running"


class Expired(NamedTuple):
    """What is to go of one project.

    Attributes:
        name: the project's; None for one that is no more.
        first_kept: the first day whose events stay; None where all go.
    """

    name: str | None
    first_kept: date | None
    which: Which


async def of_project(connection: AsyncConnection, project_id: ProjectId) -> int | None:
    """How many days a project keeps events; None keeps all."""
    found = select(projects.c.storage_days).where(projects.c.id == project_id)
    days: int | None = (await connection.execute(found)).scalar_one_or_none()
    return days


async def keep(connection: AsyncConnection, project_id: ProjectId, days: int | None) -> None:
    """Has a project keep events for so many days (1 to 36,500), or all."""
    statement = update(projects).where(projects.c.id == project_id).values(storage_days=days)
    await connection.execute(statement)


@asynccontextmanager
async def only_run(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for the one run that there may be.

    Raises:
        ExpiryRunning: There is one.
        Unreachable: Postgres does not answer.
    """
    connection = await connect(url)
    try:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            raise ExpiryRunning
        yield connection
    finally:
        await connection.close()


async def expired(connection: asyncpg.Connection, now: datetime | None = None) -> list[Expired]:
    """What there may be to remove now, project by project; possibly nothing of some."""
    now = now or datetime.now(UTC)
    found = [_of(row, local_date(row["timezone"], now)) for row in await connection.fetch(_PERIODS)]
    return found + await orphans(connection)


async def orphans(connection: asyncpg.Connection) -> list[Expired]:
    """The events of projects that are no more."""
    rows = await connection.fetch(_ORPHANS)
    return [Expired(None, None, Which(row["project_id"], None)) for row in rows]


def _of(row: asyncpg.Record, today: date) -> Expired:
    first_kept = today - timedelta(days=row["storage_days"])
    begins = day_starts(row["timezone"], first_kept, first_kept)[0]
    return Expired(row["name"], first_kept, Which(row["id"], begins))
