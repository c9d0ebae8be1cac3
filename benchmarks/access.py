"""What it adds to a request to know who calls, and to charge them.

Question: how much longer does a request take whose caller has a key, or an access token, and is
charged, than one that nobody is asked for?
Hypothesis: under 1.5 ms at the median, one request after another: a key is one look at Postgres, a
token is one at Postgres and at once one at Redis, and the charge is one more at Redis.
Control: a route of the same app, behind the same middleware, that asks for nobody.
Setting: in this process, without HTTP, on the server's kind of loop; Postgres and Valkey embedded,
on their sockets. The three take turns, so that all see the same machine, and no two requests share
a look.

Beside it: what a login costs that fails, for a user there is and for one there isn't (50 to 150 ms,
less than 5% apart), and the slowest answer while Valkey hangs (under 100 ms: a key passes, a token
is refused).
Command: make bench-access
What would make it wrong: a busy machine; compare the medians of one run with each other only.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import uvloop
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from app.accounts import keys, projects
from app.accounts.errors import WrongCredentials
from app.accounts.keys import Scope
from app.accounts.sign_in import Device, SignIn
from app.cli.project import in_transaction
from app.database.migrate import upgrade
from app.dependencies import Asker, Held, ProjectViewer
from app.limits import payer_of
from app.local.home import Home
from app.local.servers import ServerOptions, ServerUrls, local_servers
from app.main import create_app
from app.settings import Registration, Settings

REQUESTS = 3_000
WARM_UP = 200
UNLIMITED = 10**9
LOGINS, WARM_UP_LOGINS = 40, 3
HANG_SECONDS = 3.0
NOBODY = "nobody@example.com"
ACCOUNT = {"email": "ann@example.com", "password": "correct horse battery staple"}


def main() -> None:
    """Measures, and prints a line for each way to be let in."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Home(Path(folder)), options=ServerOptions(durable=False)) as urls,
    ):
        upgrade(urls.owner)
        times, logins, hanging = uvloop.run(measured(urls))
    bare = median(times["bare"])
    for name, each in times.items():
        added = f", {median(each) - bare:+.2f} ms" if name != "bare" else ""
        sys.stdout.write(f"{name:6} {median(each):6.2f} ms at the median{added}\n")
    unknown, wrong = logins[NOBODY], logins[ACCOUNT["email"]]
    # Of two in a row, so that what else the machine does meanwhile touches both.
    apart = median(a / b for a, b in zip(unknown, wrong, strict=True)) - 1
    sys.stdout.write(
        f"login  {median(wrong):6.1f} ms at the median with a wrong password,"
        f" {median(unknown):.1f} for an unknown user, {apart:+.1%}\n"
    )
    for name, each in hanging.items():
        sys.stdout.write(
            f"{name:6} {max(each):6.1f} ms is the slowest of {len(each)} while Valkey hangs\n"
        )


Times = dict[str, list[float]]


async def measured(urls: ServerUrls, requests: int = REQUESTS) -> tuple[Times, Times, Times]:
    """Milliseconds of requests by how they were let in, of logins, and of requests in a fault."""
    app = served(urls)
    key = await in_transaction(urls.writer, read_key)
    async with app.router.lifespan_context(app) as state:
        held: dict[str, Any] = dict(state or {})
        project_id, token = await logged_in(app, held)
        asked = {
            "bare": ("/bare", ""),
            "key": ("/key", f"Bearer {key}"),
            "token": (f"/token/{project_id}", f"Bearer {token}"),
        }
        times: Times = {name: [] for name in asked}
        for turn in range(WARM_UP + requests):
            for name, (path, credential) in asked.items():
                took = await milliseconds(app, held, path, credential)
                if turn >= WARM_UP:
                    times[name].append(took)
        logins = await failed_logins(held["resources"].sign_in)
        asked.pop("bare")
        return times, logins, await while_redis_hangs(app, held, asked)


async def failed_logins(sign_in: SignIn) -> Times:
    """How long a login takes that fails, for a user there is and for one there isn't, by turns."""
    times: Times = {NOBODY: [], ACCOUNT["email"]: []}
    for turn in range(WARM_UP_LOGINS + LOGINS):
        for email, took in times.items():
            began = time.perf_counter()
            with suppress(WrongCredentials):
                await sign_in.log_in(email, "another horse battery staple", Device("", ""))
            if turn >= WARM_UP_LOGINS:
                took.append((time.perf_counter() - began) * 1000)
    return times


async def while_redis_hangs(
    app: FastAPI, held: dict[str, Any], asked: dict[str, tuple[str, str]]
) -> Times:
    """How long answers take while Redis answers nothing: by key they pass, by token they don't."""
    expected = {"key": HTTPStatus.OK, "token": HTTPStatus.SERVICE_UNAVAILABLE}
    times: Times = {name: [] for name in asked}
    pid = (await held["resources"].redis.client.info("server"))["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        ends = time.monotonic() + HANG_SECONDS
        while time.monotonic() < ends:
            for name, (path, credential) in asked.items():
                times[name].append(
                    await milliseconds(app, held, path, credential, expected=expected[name])
                )
    finally:
        os.kill(pid, signal.SIGCONT)
    return times


def served(urls: ServerUrls) -> FastAPI:
    """The app, and a route for each way to be let in."""
    app = create_app(
        Settings(
            database_url=SecretStr(urls.writer),
            database_reader_url=SecretStr(urls.reader),
            redis_url=SecretStr(urls.redis),
            secret_key=SecretStr(secrets.token_urlsafe(32)),
            registration=Registration.OPEN,
            mirror=False,
            stats_rate_limit=UNLIMITED,
            request_rate_limit=UNLIMITED,
        )
    )

    @app.get("/bare")
    async def bare() -> None: ...

    @app.get("/key")
    async def key(held: Held, asker: Asker) -> None:
        await held.throttle.charge(held.throttle.limits.stats, payer_of(asker.caller))

    @app.get("/token/{project_id}")
    async def token(caller: ProjectViewer) -> None: ...

    return app


async def read_key(connection: AsyncConnection) -> str:
    """A key that may ask questions."""
    project = await projects.create(connection, "benchmark", "UTC", WeekStart.MONDAY)
    return (await keys.create(connection, project.id, Scope.READ)).secret


async def logged_in(app: FastAPI, state: dict[str, Any]) -> tuple[int, str]:
    """A user's project, and their access token."""

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": dict(state)}, receive, send)

    transport = httpx.ASGITransport(with_state)
    async with httpx.AsyncClient(transport=transport, base_url="http://bench/api") as client:
        (await client.post("/auth/register", json=ACCOUNT)).raise_for_status()
        tokens = (await client.post("/auth/login", json=ACCOUNT)).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        project = {"name": "own", "timezone": "UTC", "week_start": "monday"}
        made = (await client.post("/projects", json=project)).raise_for_status().json()
    return made["id"], tokens["access_token"]


async def milliseconds(
    app: FastAPI,
    state: dict[str, Any],
    path: str,
    credential: str,
    *,
    expected: HTTPStatus = HTTPStatus.OK,
) -> float:
    """How long one request took. Makes sure that it was let in, or answered as expected."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [(b"authorization", credential.encode())] if credential else []
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "state": state,
    }
    began = time.perf_counter()
    await app(scope, receive, send)
    took = (time.perf_counter() - began) * 1000
    if status != expected:
        message = f"{path} was answered {status}"
        raise RuntimeError(message)
    return took


if __name__ == "__main__":
    main()
