"""Redis, asked with little patience: no request waits long for one that is stopped or hangs.

redis-py by itself would try for four seconds. Here a call has PATIENCE_SECONDS, and once one had no
answer nobody asks again for PAUSE_SECONDS. What a request without Redis is answered is decided by
who asks: see `throttle` and docs/limits.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.problems import RedisAway

PATIENCE_SECONDS: Final = 0.05
PAUSE_SECONDS: Final = 0.25
_CONNECTIONS: Final = 32

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class QuickRedis:
    """A client of one Redis or Valkey, for the whole process."""

    def __init__(self, url: str) -> None:
        """Takes its address; nothing connects before the first call."""
        self.client = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                # Who asks gives up long before: `ask`, and GET /readyz.
                timeout=2,
                socket_connect_timeout=2,
                # With one, redis-py starts a task and two timers for each command.
                socket_timeout=None,
                retry=Retry(NoBackoff(), 0),
            )
        )
        self._paused_until = 0.0

    async def ask(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """What the call answers: `await redis.ask(lambda: redis.client.get(name))`.

        Raises:
            RedisAway: Redis does not answer, or did not a moment ago.
        """
        if time.monotonic() < self._paused_until:
            raise RedisAway
        try:
            return await _patiently(call)
        except (RedisError, OSError, TimeoutError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            log.warning("redis.away", extra={"error": type(error).__name__})
            raise RedisAway from error

    async def aclose(self) -> None:
        """Closes its connections."""
        await self.client.aclose()


async def _patiently(call: Callable[[], Awaitable[Result]]) -> Result:
    """The call's result. Raises TimeoutError once two halves of the patience are over.

    Two, because a loop that was held up for all of it finds the time over before it looks at the
    answer that has come meanwhile; after the first half it looks.
    """

    async def run() -> Result:
        return await call()

    task = asyncio.create_task(run())
    try:
        for _ in range(2):
            await asyncio.wait((task,), timeout=PATIENCE_SECONDS / 2)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    raise TimeoutError
