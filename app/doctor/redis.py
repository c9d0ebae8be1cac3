"""Redis or Valkey: reachable, new enough, and keeping what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.doctor.finding import CONNECT_SECONDS, Finding, note, ok, problem
from app.servers import Servers

OLDEST: Final = 7


def look_at_redis(found: Servers) -> Iterator[Finding]:
    """What sessions and limits need."""
    if found.redis is None:
        yield note(
            "redis",
            "No Redis is configured: nobody can sign in, and keys are not limited.",
            "set REDIS_URL",
        )
        return
    try:
        with redis.Redis.from_url(
            found.redis,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            info: dict[str, Any] = client.info()
    except (redis.RedisError, OSError) as error:
        yield problem("redis", f"Redis does not answer: {error}.", "start it, or correct REDIS_URL")
        return
    version = str(info.get("valkey_version") or info["redis_version"])
    if int(version.partition(".")[0]) < OLDEST:
        yield problem("redis", f"Redis is {version}.", f"upgrade it to {OLDEST} or newer")
    else:
        yield ok("redis", f"{info.get('server_name', 'redis').capitalize()} is {version}.")
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", 0) and policy != "noeviction":
        yield problem(
            "redis memory",
            f"Redis forgets sessions and limits when it is full (maxmemory-policy {policy}).",
            "set maxmemory-policy noeviction",
        )
    if not info.get("aof_enabled"):
        yield note(
            "redis file",
            "Redis keeps no append-only file: a restart of it signs everybody out.",
            "start it with --appendonly yes",
        )
