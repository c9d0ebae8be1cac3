"""The background job of a server that removes what projects no longer keep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import asyncpg
import psycopg
from anyio import to_thread

from analytics.errors import Unreachable
from analytics.mirror import lease
from app.erasure import batches
from app.erasure.storage_period import Expired, ExpiryRunning, expired, only_run
from app.observability import Metrics

# A server that is started again and again should get to it, too.
FIRST_AFTER: Final = timedelta(minutes=1)
REMOVALS_AT_ONCE: Final = 100_000

log = logging.getLogger(__name__)


async def keep_expiring(url: str, every: timedelta, metrics: Metrics) -> None:
    """Run soon and then at every interval; what goes wrong is tried again the next time."""
    wait = min(FIRST_AFTER, every)
    while True:
        await asyncio.sleep(wait.total_seconds())
        wait = every
        try:
            await run(url, metrics)
        except ExpiryRunning:
            log.debug("expiry.elsewhere")
        except (Unreachable, asyncpg.PostgresError, psycopg.Error, OSError) as error:
            metrics.expiry_failures.inc()
            log.warning("expiry.failed", extra={"error": type(error).__name__, "why": str(error)})


async def run(
    url: str,
    metrics: Metrics,
    due: Callable[[asyncpg.Connection], Awaitable[list[Expired]]] = expired,
) -> int:
    """Remove what is due, all that is over its project's period; how many events that were.

    Prunes the log of removals, too: where no mirror is kept nobody else would.

    Raises:
        ExpiryRunning: Another process is at it.
        Unreachable, asyncpg.PostgresError, psycopg.Error: What Postgres says.
    """
    total = 0
    async with only_run(url) as connection:
        for each in await due(connection):
            removed = 0
            async for step in batches.remove(connection, each.which):
                metrics.expired.inc(step.removed - removed)
                removed = step.removed
            if removed:
                about = {"project": each.which.project_id, "events": removed}
                log.info("expiry.removed", extra=about)
            total += removed
        await to_thread.run_sync(_prune, url)
    return total


def _prune(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while lease.prune(connection, REMOVALS_AT_ONCE) >= REMOVALS_AT_ONCE:
            pass
