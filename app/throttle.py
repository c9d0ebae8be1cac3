"""How many events a caller may send: fastapi-limiter's limiter, with a bucket a key in Redis.

fastapi-limiter 0.2 has one bucket for all callers, in the process, and costs one whatever a request
holds. So its limiter is given buckets of its own here: for each key a generic cell rate algorithm
in one small Redis hash, which expires by itself. An event costs one, a request at least one.

Without Redis nothing is limited. When Redis is away events are let pass, and that is counted: a key
was checked already, and losing events is worse than taking too many.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from inspect import isawaitable
from typing import Final, NamedTuple

from fastapi_limiter.depends import RateLimiter
from pyrate_limiter import (
    GCRA,
    BucketFactory,
    Duration,
    Limiter,
    Rate,
    RateItem,
    RedisStateStore,
    StateBucket,
)
from pyrate_limiter.abstracts.algorithm import Decision
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.observability import Metrics
from app.problems import Throttled, TooMany
from app.together import Together

INTERVAL: Final = Duration.MINUTE
_PREFIX: Final = "tidemark:throttle:events"
_POLICY: Final = '"events"'
_PAUSE_SECONDS: Final = 1.0
"""Once Redis did not answer, for so long nobody waits for it again."""

log = logging.getLogger(__name__)


def throttle_client(url: str) -> Redis:
    """A client that gives up at once: redis-py's own would try for four seconds."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=32,
        timeout=2,
        socket_connect_timeout=0.2,
        socket_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


class KeyBuckets(BucketFactory):
    """A bucket for each name: constant-size state in Redis."""

    def __init__(self, redis: Redis, rate: Rate) -> None:
        self._redis = redis
        self._rate = rate
        self._algorithm = GCRA()

    def wrap_item(self, name: str, weight: int = 1) -> RateItem:
        """The item with the time of this machine, which all its processes share."""
        return RateItem(name, time.time_ns() // 1_000_000, weight=weight)

    def get(self, item: RateItem) -> StateBucket:
        """The bucket that the item's name stands for."""
        store = RedisStateStore(self._redis, f"{_PREFIX}:{item.name}")
        return StateBucket([self._rate], self._algorithm, store)

    async def decide(self, name: str, weight: int) -> Decision:
        """Whether the bucket has room for so much more, and if not, when it will.

        By the store itself: a bucket notes its last verdict on itself, where another task may
        find it.
        """
        item = self.wrap_item(name, weight)
        bucket = self.get(item)
        verdict = bucket.store.check(self._algorithm, [self._rate], item.timestamp, weight)
        return await verdict if isawaitable(verdict) else verdict

    async def left(self, name: str) -> int:
        """How much room there is now."""
        item = self.wrap_item(name)
        store = self.get(item).store
        found = store.read(self._algorithm, [self._rate])
        state = await found if isawaitable(found) else found
        taken = self._algorithm.consumed([self._rate], state, item.timestamp)
        return max(0, self._rate.burst - taken)


class Charge(NamedTuple):
    """So many events of a caller."""

    caller: str
    events: int


class EventThrottle(RateLimiter):
    """Charges keys for their events."""

    def __init__(self, redis: Redis, events_per_minute: int, metrics: Metrics) -> None:
        self._rate = Rate(events_per_minute, INTERVAL)
        self._buckets = KeyBuckets(redis, self._rate)
        self._metrics = metrics
        self._paused_until = 0.0
        self._decide = Together(self._decide_all)
        super().__init__(limiter=Limiter(self._buckets))

    async def charge(self, caller: str, events: int) -> None:
        """Charges a key for a request.

        Raises:
            Throttled: It has sent too much; the error says when to come again.
            TooMany: So many events at once are never let pass.
        """
        weight = max(1, events)
        if weight > self._rate.burst:
            raise TooMany(
                f"The request holds {events:,} events; RATE_LIMIT allows {self._rate.limit:,} a"
                " minute, and no more at once; send it in parts"
            )
        decision = await self._decide.ask(Charge(caller, weight))
        if decision is None or decision.allowed:
            return
        self._metrics.throttled.inc()
        seconds = max(1, math.ceil((decision.retry_after_ms or 0) / 1000))
        left = await self._buckets.left(caller)
        raise Throttled(
            f"This key may send {self._rate.limit:,} events a minute (RATE_LIMIT) and has sent"
            f" them; this request of {weight:,} can come in {seconds} seconds",
            headers={
                "Retry-After": str(seconds),
                "RateLimit-Policy": f"{_POLICY};q={self._rate.limit};w=60",
                "RateLimit": f"{_POLICY};r={left};t={seconds}",
            },
        )

    async def wait_and_charge(self, caller: str, events: int) -> None:
        """Charges a key for a part of a long body, as soon as it may send that.

        The sender waits meanwhile: nobody reads its body.
        """
        while events > 0:
            weight = min(events, self._rate.burst)
            decision = await self._decide.ask(Charge(caller, weight))
            if decision is None or decision.allowed:
                events -= weight
            else:
                await asyncio.sleep((decision.retry_after_ms or 1000) / 1000)

    async def _decide_all(self, charges: Sequence[Charge]) -> list[Decision | None]:
        """The verdict on each charge; None where Redis does not answer.

        What a key is charged at the same time is asked as one sum. If there is room for that, there
        is room for each; if not, they are asked one by one.
        """
        sums = Counter[str]()
        for caller, weight in charges:
            sums[caller] += weight
        asked = await asyncio.gather(*(self._ask(*charge) for charge in sums.items()))
        together = dict(zip(sums, asked, strict=True))
        verdicts = []
        for caller, weight in charges:
            verdict = together[caller]
            alone = weight == sums[caller]
            if verdict is not None and not verdict.allowed and not alone:
                verdict = await self._ask(caller, weight)
            verdicts.append(verdict)
        return verdicts

    async def _ask(self, caller: str, weight: int) -> Decision | None:
        if time.monotonic() >= self._paused_until:
            try:
                return await self._buckets.decide(caller, weight)
            except (RedisError, OSError) as error:
                self._paused_until = time.monotonic() + _PAUSE_SECONDS
                log.warning("throttle.unavailable error=%s", type(error).__name__)
        self._metrics.unthrottled.inc()
        return None
