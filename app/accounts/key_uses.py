"""When each key was last used, to about a minute, for a handful of rows written at a time.

A request only notes its key in memory. Every so often the keys noted since are written in one
statement, and of these only those whose time is a minute old: so a key costs one row a minute, by
however many requests and servers it is used.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from analytics.errors import Unreachable
from app.database.pools import transaction

FLUSH_SECONDS: Final = 20.0
# In the order of their ids, passing by rows that another server is writing just now: servers
# neither wait for each other here nor end in a deadlock.
_WRITE: Final = text("""
    update api_keys set last_used_at = now()
    where id in (
        select id from api_keys
        where id = any(:ids)
            and (last_used_at is null or last_used_at < now() - interval '40 seconds')
        order by id
        for update skip locked
    )
""")

log = logging.getLogger(__name__)


class KeyUses:
    """The keys that were used since they were last written."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._noted: set[int] = set()

    def note(self, key_id: int) -> None:
        """A key let somebody in."""
        self._noted.add(key_id)

    async def flush(self) -> None:
        """Write what was noted; what can't be written stays noted.

        Raises:
            Unreachable: Postgres does not answer.
        """
        noted, self._noted = self._noted, set()
        if not noted:
            return
        try:
            async with transaction(self._engine) as connection:
                await connection.execute(_WRITE, {"ids": sorted(noted)})
        except BaseException:
            self._noted |= noted
            raise

    async def try_to_flush(self) -> None:
        """Write what was noted if that is possible: a time of use is no reason to end."""
        try:
            await self.flush()
        except (Unreachable, DBAPIError, OSError) as error:
            log.info("key_uses.not_written", extra={"why": type(error).__name__})

    async def keep_flushing(self, seconds: float = FLUSH_SECONDS) -> None:
        """Flush again and again."""
        while True:
            await asyncio.sleep(seconds)
            await self.try_to_flush()
