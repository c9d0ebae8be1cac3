"""What a serving process holds open: opened at its start, closed in reverse order at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

import asyncpg
from anyio import to_thread
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from analytics.engines.choose import Engines
from analytics.mirror.keeper import Keeper
from analytics.sessions import GRACE
from app.accounts.authentication import Authentication
from app.accounts.key_uses import KeyUses
from app.accounts.passwords import Passwords
from app.accounts.secret_key import secret_key
from app.accounts.sessions import TokenCache
from app.accounts.sign_in import SignIn
from app.accounts.tokens import Signer
from app.attempts import Attempts
from app.database.looks import Looks, looks_at
from app.database.pools import closed, events_pool, opened_pool, sqlalchemy_engine
from app.disk_metrics import DiskMetrics
from app.erasure.deletion import Removals
from app.erasure.expiry import keep_expiring
from app.intake import Intake
from app.limits import Limits
from app.mirror_socket import served
from app.mirroring import MirrorMetrics, duck_limits, keeper_of
from app.observability import Metrics
from app.pool_metrics import PoolMetrics, Pools, refreshing
from app.quick_redis import QuickRedis
from app.servers import Servers, given
from app.settings import Registration, Settings
from app.throttle import Throttle
from app.together import Together
from app.turns import Turns

OTHER_THREADS = 8
ERASURES_AT_ONCE = 2
# Each at work holds 64 MiB and a core for a tenth of a second; who waits longer is refused.
PASSWORDS_AT_ONCE, PASSWORDS_WAITING = 2, 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that requests share."""

    settings: Settings
    accounts: AsyncEngine
    events: asyncpg.Pool
    engines: Engines
    keeper: Keeper | None
    answers: MirrorMetrics
    questions: Turns
    redis: QuickRedis | None
    throttle: Throttle
    attempts: Attempts | None
    metrics: Metrics
    registration: Registration
    sign_in: SignIn
    authentication: Authentication
    erasing: asyncio.Semaphore
    intake: Intake
    removals: Removals
    pings: Together[None, None]


class State(TypedDict):
    """What Starlette copies into `request.state`."""

    resources: Resources


def lifespan(
    settings: Settings, metrics: Metrics
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    """The lifespan of an app with these settings."""

    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            yield State(resources=await _open(settings, metrics, stack))

    return run


async def _open(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Resources:
    """Open each resource; the stack closes it, also when a later one fails."""
    servers = given(settings)
    accounts = sqlalchemy_engine(servers.writer)
    stack.push_async_callback(closed, accounts)
    looks = await stack.enter_async_context(looks_at(servers.writer))
    events = await stack.enter_async_context(opened_pool(events_pool(servers.writer)))
    answers = MirrorMetrics(metrics.registry)
    metrics.refreshes.append(answers.refresh)
    keeper = keeper_of(settings, servers, answers)
    if keeper is not None:
        stack.callback(keeper.close)
        await to_thread.run_sync(keeper.start)
    engines = Engines.connect(
        servers.reader,
        timeout=settings.query_timeout,
        spill=servers.spill,
        limits=duck_limits(settings),
        keeper=keeper,
    )
    stack.callback(engines.close)
    if keeper is not None:
        stack.enter_context(served(keeper, engines))
    redis = _redis(servers.redis, stack)
    throttle = Throttle(redis, Limits.of(settings), metrics)
    attempts = Attempts(redis, throttle, settings.auth_longest_wait) if redis else None
    questions = _question_turns(settings)
    sign_in = _sign_in(settings, accounts, redis)
    intake = Intake(settings, events, throttle, metrics)
    # Threads that wait for a body's sender must leave some to others.
    threads = ThreadPoolExecutor(settings.bulk_at_once + OTHER_THREADS, "tidemark")
    asyncio.get_running_loop().set_default_executor(threads)
    DiskMetrics(settings, metrics)
    PoolMetrics(Pools(accounts, events, questions, threads), metrics)
    stack.enter_context(_background(refreshing(metrics)))
    uses = _key_uses(accounts, stack)
    removals = _removals(settings, servers, metrics, stack)
    return Resources(
        settings=settings,
        accounts=accounts,
        events=events,
        engines=engines,
        keeper=keeper,
        answers=answers,
        questions=questions,
        redis=redis,
        throttle=throttle,
        attempts=attempts,
        metrics=metrics,
        registration=settings.registration or Registration.INVITE,
        sign_in=sign_in,
        authentication=_authentication(settings, looks, sign_in, uses),
        # Each looks through a project for as long as that takes, on a connection that others need.
        erasing=asyncio.Semaphore(ERASURES_AT_ONCE),
        intake=intake,
        removals=removals,
        pings=_pings(engines),
    )


def _question_turns(settings: Settings) -> Turns:
    # Whatever takes longer than its own limit, and Postgres's, hangs.
    longest = settings.query_timeout + 2 * GRACE
    return Turns(settings.questions_at_once, settings.questions_waiting, longest.total_seconds())


def _pings(engines: Engines) -> Together[None, None]:
    """Whether questions could be answered; a ping that hangs takes one thread, however many ask."""

    async def ping(asked: Sequence[None]) -> Sequence[None]:
        await asyncio.to_thread(engines.ping)
        return asked

    return Together(ping)


def _key_uses(accounts: AsyncEngine, stack: AsyncExitStack) -> KeyUses:
    uses = KeyUses(accounts)
    stack.push_async_callback(uses.try_to_flush)
    stack.enter_context(_background(uses.keep_flushing()))
    return uses


def _removals(
    settings: Settings, servers: Servers, metrics: Metrics, stack: AsyncExitStack
) -> Removals:
    if settings.expire_every:
        job = keep_expiring(servers.writer, settings.expire_every, metrics)
        stack.enter_context(_background(job))
    removals = Removals(servers.writer, metrics)
    stack.enter_context(_background(removals.keep_removing()))
    return removals


def _sign_in(settings: Settings, accounts: AsyncEngine, redis: QuickRedis | None) -> SignIn:
    refresh_ttl = timedelta(days=settings.refresh_ttl_days)
    longest = timedelta(days=settings.session_ttl_days)
    return SignIn(
        accounts,
        Passwords(Turns(PASSWORDS_AT_ONCE, PASSWORDS_WAITING)),
        Signer(secret_key(settings)),
        TokenCache(redis, idle=refresh_ttl, longest=longest),
        access_ttl=timedelta(minutes=settings.access_ttl_min),
        refresh_ttl=refresh_ttl,
    )


def _authentication(
    settings: Settings, looks: Looks, sign_in: SignIn, uses: KeyUses
) -> Authentication:
    token = settings.benchmark_token
    if token is not None:
        log.warning("benchmark.on", extra={"why": "BENCHMARK_TOKEN is set: it passes for owner"})
    return Authentication(
        looks,
        sign_in.signer,
        sign_in.sessions,
        uses,
        token.get_secret_value() if token is not None else None,
    )


@contextmanager
def _background(work: Coroutine[None, None, None]) -> Iterator[None]:
    """The work goes on for as long as the block does."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


def _redis(url: str | None, stack: AsyncExitStack) -> QuickRedis | None:
    if url is None:
        log.warning("redis.none", extra={"why": "REDIS_URL is not set: no limit on keys is kept"})
        return None
    redis = QuickRedis(url)
    stack.push_async_callback(redis.aclose)
    return redis
