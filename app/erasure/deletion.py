"""A whole project leaves: for everybody at once, then its events, in batches, in the background.

From the deletion's commit on nobody gets in any more. What is left are events of a project that
isn't there, as senders under way may leave them, too; so whichever server ends in the middle, the
next one that starts goes on, and so does every run that removes what is too old.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from uuid import UUID

import asyncpg
import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.errors import Unreachable
from analytics.events import ProjectId
from app.accounts import projects
from app.erasure import expiry
from app.erasure.storage_period import ExpiryRunning, orphans
from app.observability import Metrics

# Another run is in the way, or Postgres is: soon enough for somebody who looks at the receipt.
AGAIN_SECONDS: Final = 5.0

_NOTE: Final = text("""
    insert into erasures (project_id, events, asked_by) values (:project_id, 0, :asked_by)
    returning id
""")

log = logging.getLogger(__name__)


async def delete(connection: AsyncConnection, project_id: ProjectId, asked_by: int) -> UUID:
    """Deletes a project with its keys, members and invitations; the id of the receipt.

    Its events stay for `Removals`, to be begun once this is committed.
    """
    await projects.delete(connection, project_id)
    values = {"project_id": project_id, "asked_by": asked_by}
    return UUID(str((await connection.execute(_NOTE, values)).scalar_one()))


class Removals:
    """Removes the events of projects that are no more; one for the serving process."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self._url, self._metrics = url, metrics
        self._wanted = asyncio.Event()

    def begin(self) -> None:
        """Has what there is now removed soon."""
        self._wanted.set()

    async def keep_removing(self) -> None:
        """Remove what another process has left, then whatever there is when it is wanted."""
        while True:
            self._wanted.clear()
            if not await self._removed():
                self._wanted.set()
                await asyncio.sleep(AGAIN_SECONDS)
            await self._wanted.wait()

    async def _removed(self) -> bool:
        try:
            await expiry.run(self._url, self._metrics, orphans)
        except ExpiryRunning:
            return False
        except (Unreachable, asyncpg.PostgresError, psycopg.Error, OSError) as error:
            self._metrics.expiry_failures.inc()
            log.warning("deletion.failed", extra={"error": type(error).__name__, "why": str(error)})
            return False
        return True
