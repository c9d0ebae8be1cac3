"""GET /healthz and /readyz: is the process alive, can it do its work."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from analytics.errors import TidemarkError
from app.dependencies import Held

PATIENCE_SECONDS = 2.0

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process answers. Says nothing about its servers."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    responses={503: {"description": "Some part can't do its work; the answer says which."}},
)
async def readyz(held: Held) -> JSONResponse:
    """Ready: Postgres takes events and answers questions, and Redis answers."""
    names = ("postgres", "questions", "redis")
    checks = (_postgres(held), asyncio.to_thread(held.engines.ping), _redis(held))
    outcomes = await asyncio.gather(
        *(asyncio.wait_for(check, PATIENCE_SECONDS) for check in checks), return_exceptions=True
    )
    parts = {name: _word(outcome) for name, outcome in zip(names, outcomes, strict=True)}
    ready = set(parts.values()) <= {"ok", "not configured"}
    return JSONResponse(
        {"status": "ready" if ready else "not ready", "parts": parts},
        status_code=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


async def _postgres(held: Held) -> str:
    async with held.events.acquire() as connection:
        await connection.fetchval("select 1 from mirror_state")
    return "ok"


async def _redis(held: Held) -> str:
    if held.redis is None:
        return "not configured"
    await held.redis.client.ping()
    return "ok"


def _word(outcome: object) -> str:
    """What a part says of itself.

    Of foreign errors only the type: their text may hold an address.
    """
    if isinstance(outcome, TidemarkError):
        return str(outcome)
    if isinstance(outcome, BaseException):
        return type(outcome).__name__
    return str(outcome or "ok")
