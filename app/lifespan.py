"""What a serving process holds open: opened at its start, closed in reverse order at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict

import asyncpg
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from analytics.engines.choose import Engines
from analytics.mirror.keeper import Keeper
from app.database.pools import events_pool, sqlalchemy_engine
from app.mirror_socket import served
from app.mirroring import MirrorMetrics, duck_limits, keeper_of
from app.servers import given
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that requests share."""

    settings: Settings
    accounts: AsyncEngine
    events: asyncpg.Pool
    engines: Engines
    keeper: Keeper | None
    answers: MirrorMetrics
    questions: CapacityLimiter
    redis: Redis | None


class State(TypedDict):
    """What Starlette copies into `request.state`."""

    resources: Resources


def lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    """The lifespan of an app with these settings."""

    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            yield State(resources=await _open(settings, stack))

    return run


async def _open(settings: Settings, stack: AsyncExitStack) -> Resources:
    """Open each resource; the stack closes it, also when a later one fails."""
    servers = given(settings)
    accounts = sqlalchemy_engine(servers.writer)
    stack.push_async_callback(accounts.dispose)
    events = await stack.enter_async_context(events_pool(servers.writer))
    answers = MirrorMetrics()
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
    redis = None
    if servers.redis is not None:
        redis = Redis.from_url(servers.redis, socket_timeout=0.5, socket_connect_timeout=0.5)
        stack.push_async_callback(redis.aclose)
    questions = CapacityLimiter(settings.questions_at_once)
    return Resources(settings, accounts, events, engines, keeper, answers, questions, redis)
