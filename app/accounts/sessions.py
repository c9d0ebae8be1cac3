"""Sessions in Redis: what makes a signed token count.

A session begins with a login and lives as long as its entry here. So a token counts only while its
session is there: when Redis is emptied, everybody has to log in again, and nobody who had logged
out is let in. A refresh token is taken once, in one script, however many try at the same time.

All keys of a user carry the same hash tag, so that a Redis cluster keeps them together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.resources import files
from typing import Final, NamedTuple, TypeVar

from redis.asyncio import Redis

from app.problems import RedisAway
from app.quick_redis import QuickRedis
from app.together import Together

MOST_SESSIONS: Final = 50
"""Of one user; a further login ends the one that would end first."""
GRACE: Final = timedelta(seconds=5)
"""So long after a refresh the same token is a race of one client with itself, not a theft."""

Result = TypeVar("Result")

_PREFIX: Final = "tidemark:session"
_SCRIPTS: Final = files("app.accounts")
_BEGIN: Final = _SCRIPTS.joinpath("begin.lua").read_text()
_ROTATE: Final = _SCRIPTS.joinpath("rotate.lua").read_text()


class SessionKey(NamedTuple):
    """A session of a user."""

    user_id: int
    session_id: str

    @property
    def entry(self) -> str:
        """Where Redis keeps the session."""
        return f"{_PREFIX}:{{{self.user_id}}}:{self.session_id}"


class Rotation(StrEnum):
    """What became of a refresh token; see rotate.lua."""

    ROTATED = "rotated"
    RACED = "raced"
    REUSED = "reused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its user sees it. Times in UTC; `refreshed_at` is its last sign of life."""

    id: str
    began_at: datetime
    refreshed_at: datetime
    ends_at: datetime
    user_agent: str
    address: str


class TokenCache:
    """The sessions, and which refresh token each is at.

    Every method raises RedisAway where Redis does not answer, or there is none: nobody can tell
    then whose session goes on, so nobody is let in.
    """

    def __init__(self, redis: QuickRedis | None, idle: timedelta, longest: timedelta) -> None:
        """Takes how long a session lives without a refresh, and how long at most."""
        self._redis = redis
        self._idle, self._longest = idle, longest
        self._alive = Together(self._all_alive)

    async def alive(self, session: SessionKey) -> bool:
        """Whether the session goes on."""
        return await self._alive.ask(session)

    async def begin(
        self, session: SessionKey, token_id: str, *, user_agent: str, address: str
    ) -> None:
        """Begins a session, whose first refresh token is `token_id`."""
        noted = ("user_agent", user_agent, "address", address)
        await self._run(
            _BEGIN, session, token_id, _ms(self._idle), _ms(self._longest), MOST_SESSIONS, *noted
        )

    async def rotate(self, session: SessionKey, presented: str, following: str) -> Rotation:
        """Takes the refresh token `presented` and puts `following` in its place."""
        idle, grace = _ms(self._idle), _ms(GRACE)
        verdict = await self._run(_ROTATE, session, presented, following, idle, grace)
        return Rotation(_text(verdict))

    async def end(self, session: SessionKey) -> None:
        """Ends a session, if it has not ended yet."""

        async def end(redis: Redis) -> None:
            async with redis.pipeline() as both:
                both.delete(session.entry)
                both.zrem(_index(session.user_id), session.session_id)
                await both.execute()

        await self._ask(end)

    async def end_all(self, user_id: int) -> None:
        """Ends every session of a user that has begun before."""

        async def end(redis: Redis) -> None:
            found = [_text(each) for each in await redis.zrange(_index(user_id), 0, -1)]
            entries = [SessionKey(user_id, each).entry for each in found]
            await redis.delete(*entries, _index(user_id))

        await self._ask(end)

    async def of_user(self, user_id: int) -> list[Session]:
        """The user's sessions, the last refreshed first."""

        async def read(redis: Redis) -> list[Session]:
            ids = [_text(each) for each in await redis.zrange(_index(user_id), 0, -1)]
            async with redis.pipeline(transaction=False) as reads:
                for each in ids:
                    reads.hgetall(SessionKey(user_id, each).entry)
                found = await reads.execute()
            return [_session(each, noted) for each, noted in zip(ids, found, strict=True) if noted]

        sessions = await self._ask(read)
        return sorted(sessions, key=lambda session: session.refreshed_at, reverse=True)

    async def _all_alive(self, sessions: Sequence[SessionKey]) -> list[bool]:
        async def look(redis: Redis) -> list[bool]:
            async with redis.pipeline(transaction=False) as reads:
                for session in sessions:
                    reads.exists(session.entry)
                return [bool(found) for found in await reads.execute()]

        return await self._ask(look)

    async def _run(self, script: str, session: SessionKey, *arguments: str | int) -> object:
        async def run(redis: Redis) -> object:
            keys = [session.entry, _index(session.user_id)]
            found: object = await redis.register_script(script)(
                keys, [session.session_id, *arguments]
            )
            return found

        return await self._ask(run)

    async def _ask(self, call: Callable[[Redis], Awaitable[Result]]) -> Result:
        redis = self._redis
        if redis is None:
            raise RedisAway(
                "Signing in needs Redis, and this server has none: its operator has to set"
                " REDIS_URL. API keys work without."
            )
        return await redis.ask(lambda: call(redis.client))


def _index(user_id: int) -> str:
    """The sorted set of a user's sessions by when they end."""
    return f"{_PREFIX}s:{{{user_id}}}"


def _session(session_id: str, noted: dict[bytes, bytes]) -> Session:
    values = {_text(name): _text(value) for name, value in noted.items()}
    began, refreshed, ends = (
        datetime.fromtimestamp(int(values[name]) / 1000, UTC)
        for name in ("began_at", "rotated_at", "ends_at")
    )
    return Session(session_id, began, refreshed, ends, values["user_agent"], values["address"])


def _ms(period: timedelta) -> int:
    return period // timedelta(milliseconds=1)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
