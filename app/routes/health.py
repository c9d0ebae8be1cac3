"""GET /healthz and /readyz: is the process alive, can it do its work."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from analytics.errors import TidemarkError
from analytics.mirror.plan import age
from app.dependencies import Held
from app.lifespan import Resources
from ingest.commit import lent

PATIENCE_SECONDS = 2.0
OK: Final = "ok"
NEEDED: Final = frozenset({"postgres", "questions"})
"""What nothing works without. Without Redis, keys go on working, and people can't sign in; without
a mirror, Postgres answers."""

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process answers. Says nothing about its servers."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    responses={
        503: {"description": "It can't do its work, or is about to stop; `parts` says why."}
    },
)
async def readyz(held: Held, request: Request) -> JSONResponse:
    """Ready: Postgres takes events and answers questions.

    `status` is `ready`, `degraded` (some part fails that most work goes on without; still 200),
    `not ready` or `stopping`. `parts` has a word for each part: `ok`, or what is wrong with it.
    """
    names = ("postgres", "questions", "redis")
    checks = (_postgres(held), held.pings.ask(None), _redis(held))
    outcomes = await asyncio.gather(
        *(asyncio.wait_for(check, PATIENCE_SECONDS) for check in checks), return_exceptions=True
    )
    parts = {name: _word(outcome) for name, outcome in zip(names, outcomes, strict=True)}
    mirror = _mirror(held)
    failed = {name for name, word in parts.items() if word not in {OK, "not configured"}}
    if request.app.state.drain.stopping:
        status = "stopping"
    elif failed & NEEDED:
        status = "not ready"
    else:
        status = "degraded" if failed or mirror.get("failed") else "ready"
    return JSONResponse(
        {"status": status, "parts": {**parts, "mirror": mirror["is"]}, "mirror": mirror},
        status_code=(
            HTTPStatus.OK if status in {"ready", "degraded"} else HTTPStatus.SERVICE_UNAVAILABLE
        ),
    )


async def _postgres(held: Resources) -> str:
    async with lent(held.events, PATIENCE_SECONDS) as connection:
        if await connection.fetchval("select pg_is_in_recovery() from mirror_state"):
            return "a replica, which takes no events; DATABASE_URL must name the primary"
    return OK


async def _redis(held: Resources) -> str:
    if held.redis is None:
        return "not configured"
    await held.redis.client.ping()
    return OK


def _mirror(held: Resources) -> dict[str, Any]:
    """How the mirror is, and how far behind Postgres; exact answers never are."""
    if held.keeper is None:
        return {"is": "not configured"}
    status = held.keeper.status
    if status.cause is not None:
        return {"is": status.doing, "failed": status.failed}
    latest = status.latest
    lag = age(latest.as_of if latest else None, datetime.now(UTC))
    return {"is": OK, "lag_seconds": lag, "tail_rows": latest.tail if latest else None}


def _word(outcome: object) -> str:
    """What a part says of itself.

    Of foreign errors only the type: their text may hold an address.
    """
    if isinstance(outcome, TidemarkError):
        return str(outcome)
    if isinstance(outcome, BaseException):
        return type(outcome).__name__
    return str(outcome or OK)
