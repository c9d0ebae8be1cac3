"""Attempts to sign in, against a real Valkey: waits grow, and only where the failures were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from app import quick_redis
from app.attempts import FREE_FAILURES, Attempts
from app.limits import Limits, Payer, PayerKind
from app.local.servers import ServerUrls
from app.observability import Metrics
from app.problems import RedisAway, Throttled
from app.quick_redis import QuickRedis
from app.settings import Settings
from app.throttle import Throttle

HERE, THERE = (Payer(PayerKind.ADDRESS, host) for host in ("192.0.2.1", "192.0.2.2"))


def throttle(redis: QuickRedis | None, **limits: int) -> Throttle:
    settings = Settings(
        database_url=SecretStr("postgresql://given"), redis_url=SecretStr("redis://given"), **limits
    )
    return Throttle(redis, Limits.of(settings), Metrics())


@pytest.fixture
async def redis(servers: ServerUrls, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QuickRedis]:
    # On a busy machine a Valkey that is there may take longer than requests would wait.
    monkeypatch.setattr(quick_redis, "PATIENCE_SECONDS", 10.0)
    redis = QuickRedis(servers.redis)
    await redis.client.flushdb()
    yield redis
    await redis.aclose()


def attempts(redis: QuickRedis, longest: float = 900, a_minute: int = 1000) -> Attempts:
    limited = throttle(redis, auth_account_rate_limit=a_minute)
    return Attempts(redis, limited, timedelta(seconds=longest))


async def fail(attempts: Attempts, times: int, address: Payer = HERE) -> None:
    for _ in range(times):
        await attempts.begin(address, "ann@example.com")


async def wait_after(attempts: Attempts) -> int:
    with pytest.raises(Throttled) as refused:
        await attempts.begin(HERE, "ann@example.com")
    return int(refused.value.headers["Retry-After"])


async def test_the_first_failures_cost_no_wait_and_the_next_double_it(redis: QuickRedis) -> None:
    tried = attempts(redis)
    await fail(tried, FREE_FAILURES)
    waits = []
    for _ in range(12):
        await fail(tried, 1)
        waits.append(await wait_after(tried))
        (name,) = await redis.client.keys("tidemark:attempts:*")
        await redis.client.hset(name, "until", 0)  # as if the time had passed
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


async def test_an_attempt_is_let_through_once_its_wait_is_over(redis: QuickRedis) -> None:
    tried = attempts(redis, longest=0.2)
    await fail(tried, FREE_FAILURES + 1)
    await wait_after(tried)
    await asyncio.sleep(0.25)
    await fail(tried, 1)


async def test_another_address_and_another_account_need_not_wait(redis: QuickRedis) -> None:
    tried = attempts(redis)
    await fail(tried, FREE_FAILURES + 1)
    await fail(tried, 1, THERE)
    await tried.begin(HERE, "bob@example.com")
    await wait_after(tried)


async def test_success_forgets_the_failures(redis: QuickRedis) -> None:
    tried = attempts(redis)
    await fail(tried, FREE_FAILURES)
    await tried.succeeded(HERE, "ann@example.com")
    await fail(tried, FREE_FAILURES)
    assert await redis.client.keys("*ann*") == []


async def test_attempts_at_the_same_time_are_not_all_let_through(redis: QuickRedis) -> None:
    tried = attempts(redis)
    begun = (tried.begin(HERE, "ann@example.com") for _ in range(50))
    outcomes = await asyncio.gather(*begun, return_exceptions=True)
    assert outcomes.count(None) == FREE_FAILURES + 1


async def test_an_account_is_limited_over_all_addresses(redis: QuickRedis) -> None:
    tried = attempts(redis, a_minute=3)
    for last in range(3):
        await fail(tried, 1, Payer(PayerKind.ADDRESS, f"192.0.2.{last}"))
    with pytest.raises(Throttled, match="AUTH_ACCOUNT_RATE_LIMIT allows this account 3"):
        await fail(tried, 1, Payer(PayerKind.ADDRESS, "192.0.2.9"))


async def test_without_redis_nobody_may_try() -> None:
    away = QuickRedis("redis://127.0.0.1:1/0")
    with pytest.raises(RedisAway):
        await attempts(away).begin(HERE, "ann@example.com")
    await away.aclose()


@pytest.mark.parametrize("kind", [PayerKind.USER, PayerKind.ADDRESS, PayerKind.ACCOUNT])
async def test_who_is_no_key_is_refused_without_redis_and_counted(kind: PayerKind) -> None:
    closed = throttle(None)
    with pytest.raises(RedisAway):
        await closed.charge(closed.limits.requests, Payer(kind, "1"))
    assert _count(closed._metrics.registry, "closed") == 1


async def test_a_key_passes_without_redis_and_is_counted() -> None:
    opened = throttle(None)
    await opened.charge(opened.limits.requests, Payer(PayerKind.KEY, "1"))
    assert _count(opened._metrics.registry, "passed") == 1


def _count(registry: CollectorRegistry, outcome: str) -> float | None:
    labels = {"limit": "requests", "outcome": outcome}
    return registry.get_sample_value("throttle_decisions_total", labels)
