"""How much a caller may ask for: fastapi-limiter's limiter, with a bucket a caller in Redis.

fastapi-limiter 0.2 has one bucket for all callers, in the process, and costs one whatever a request
holds. So its limiter is given buckets of its own here: for each limit and payer a generic cell rate
algorithm in one small Redis hash, which expires by itself. `limits` says what is counted.

Without REDIS_URL, and while Redis is away, keys are let pass and counted; all others are refused.
"""

from __future__ import annotations

import asyncio
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
    Limiter,
    Rate,
    RateItem,
    RedisStateStore,
    StateBucket,
)
from pyrate_limiter.abstracts.algorithm import Decision
from pyrate_limiter.abstracts.store import StateStore

from app.limits import Limit, Limits, Payer
from app.observability import Metrics
from app.problems import RedisAway, Throttled, TooMany
from app.quick_redis import QuickRedis
from app.together import Together

_PREFIX: Final = "tidemark:throttle"
_CLOCKS_DIFFER_MS: Final = 2_000
"""By how much those of several machines may differ before one is taken to be wrong."""


class Charge(NamedTuple):
    """So much of one limit, for one payer."""

    limit: Limit
    payer: Payer
    weight: int


class Buckets(BucketFactory):
    """A bucket for each payer of one limit: constant-size state in Redis."""

    def __init__(self, redis: QuickRedis, limit: Limit) -> None:
        self._redis = redis
        self._limit = limit
        self._algorithm = GCRA()

    def wrap_item(self, name: str, weight: int = 1) -> RateItem:
        """The item with the time of this machine, which all its processes share."""
        return RateItem(name, time.time_ns() // 1_000_000, weight=weight)

    def get(self, item: RateItem) -> StateBucket:
        """The bucket that the item's name stands for."""
        store = RedisStateStore(self._redis.client, self._key(item.name))
        return StateBucket([self._limit.rate], self._algorithm, store)

    async def decide(self, name: str, weight: int) -> Decision:
        """Whether the bucket has room for so much more, and if not, when it will.

        By the store itself: a bucket notes its last verdict on itself, where another task may
        find it.
        """
        item, rate = self.wrap_item(name, weight), self._limit.rate
        store = self.get(item).store
        verdict = await self._checked(store, item)
        longest = rate.burst * rate.interval / rate.limit + _CLOCKS_DIFFER_MS
        if (verdict.retry_after_ms or 0) > longest:
            # Nobody has to wait for longer than an empty bucket takes: this one was charged by a
            # clock that has been put back since, and would stay shut for all that time.
            await self._redis.client.delete(self._key(name))
            verdict = await self._checked(store, item)
        return verdict

    def _key(self, name: str) -> str:
        return f"{_PREFIX}:{self._limit.name}:{name}"

    async def _checked(self, store: StateStore, item: RateItem) -> Decision:
        verdict = store.check(self._algorithm, [self._limit.rate], item.timestamp, item.weight)
        return await verdict if isawaitable(verdict) else verdict


class Throttle(RateLimiter):
    """Charges callers for what they ask for."""

    def __init__(self, redis: QuickRedis | None, limits: Limits, metrics: Metrics) -> None:
        """Takes None for a process without REDIS_URL."""
        self.limits = limits
        self._redis = redis
        self._metrics = metrics
        self._decide = Together(self._decide_all)
        if redis is not None:
            super().__init__(limiter=Limiter(Buckets(redis, limits.requests)))

    async def charge(self, limit: Limit, payer: Payer, weight: int = 1) -> None:
        """Charges a payer for a request, at least one unit.

        Raises:
            Throttled: Too little is left; the error says when to come again.
            TooMany: So much at once is never let pass.
            RedisAway: Nobody can tell, and this payer is not let pass then.
        """
        weight = max(1, weight)
        if self._redis is not None and weight > limit.rate.burst:
            raise TooMany(
                f"The request holds {weight:,} {limit.unit}; {limit.setting} allows"
                f" {limit.rate.limit:,} a minute, and no more at once; send it in parts"
            )
        decision = await self._decide.ask(Charge(limit, payer, weight))
        if decision is None:
            self._pass_without_redis(limit, payer)
        elif decision.allowed:
            self._count(limit, "allowed")
        else:
            self._count(limit, "refused")
            raise throttled(limit, payer, weight, decision.retry_after_ms or 0)

    async def wait_and_charge(self, limit: Limit, payer: Payer, weight: int) -> None:
        """Charges a payer for a part of a long body, as soon as it may send that.

        The sender waits meanwhile: nobody reads its body.
        """
        while weight > 0:
            part = min(weight, limit.rate.burst)
            decision = await self._decide.ask(Charge(limit, payer, part))
            if decision is None:
                self._pass_without_redis(limit, payer)
            elif decision.allowed:
                self._count(limit, "allowed")
            else:
                await asyncio.sleep((decision.retry_after_ms or 1000) / 1000)
                continue
            weight -= part

    def _pass_without_redis(self, limit: Limit, payer: Payer) -> None:
        if not payer.passes_without_redis:
            self._count(limit, "closed")
            raise RedisAway
        self._count(limit, "passed")

    def _count(self, limit: Limit, outcome: str) -> None:
        self._metrics.throttle.labels(limit.name, outcome).inc()

    async def _decide_all(self, charges: Sequence[Charge]) -> list[Decision | None]:
        """The verdict on each charge; None where Redis does not answer.

        What a payer is charged at the same time is asked as one sum. If there is room for that,
        there is room for each; if not, they are asked one by one.
        """
        sums = Counter[tuple[Limit, Payer]]()
        for limit, payer, weight in charges:
            sums[limit, payer] += weight
        asked = await asyncio.gather(*(self._ask(*who, weight) for who, weight in sums.items()))
        together = dict(zip(sums, asked, strict=True))
        verdicts = []
        for limit, payer, weight in charges:
            verdict = together[limit, payer]
            alone = weight == sums[limit, payer]
            if verdict is not None and not verdict.allowed and not alone:
                verdict = await self._ask(limit, payer, weight)
            verdicts.append(verdict)
        return verdicts

    async def _ask(self, limit: Limit, payer: Payer, weight: int) -> Decision | None:
        if self._redis is None:
            return None
        buckets = Buckets(self._redis, limit)
        try:
            return await self._redis.ask(lambda: buckets.decide(str(payer), weight))
        except RedisAway:
            return None


def throttled(limit: Limit, payer: Payer, weight: int, wait_ms: int) -> Throttled:
    """The refusal of a charge, with what the draft of RateLimit headers for HTTP asks for."""
    seconds = max(1, math.ceil(wait_ms / 1000))
    name, most = limit.name, limit.rate.limit
    return Throttled(
        f"{limit.setting} allows this {payer.kind} {most:,} {limit.unit} a minute, and too few of"
        f" them are left; this request, of {weight:,}, can come in {seconds} seconds",
        headers={
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"{name}";q={most};w={limit.rate.interval // 1000}',
            "RateLimit": f'"{name}";r={_left(limit.rate, weight, wait_ms)};t={seconds}',
        },
    )


def _left(rate: Rate, weight: int, wait_ms: int) -> int:
    """How much room there was: the wait is for what was missing of the weight."""
    missing = math.ceil(wait_ms * rate.limit / rate.interval)
    return max(0, weight - missing)
