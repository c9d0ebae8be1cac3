"""What a serving process holds open: opened at its start, closed in reverse order at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict

import asyncpg
from anyio import CapacityLimiter
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from analytics.engines.choose import Engines
from app.database.pools import events_pool, sqlalchemy_engine
from app.servers import given
from app.settings import Settings

# Questions are answered in threads; more of them at once than cores only make each other slower.
QUESTIONS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that requests share."""

    settings: Settings
    accounts: AsyncEngine
    events: asyncpg.Pool
    engines: Engines
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
    engines = Engines.connect(servers.reader, timeout=settings.query_timeout, spill=servers.spill)
    stack.callback(engines.close)
    redis = None
    if servers.redis is not None:
        redis = Redis.from_url(servers.redis, socket_timeout=0.5, socket_connect_timeout=0.5)
        stack.push_async_callback(redis.aclose)
    return Resources(settings, accounts, events, engines, CapacityLimiter(QUESTIONS_AT_ONCE), redis)
