"""The API as its callers see it: a running app, projects, keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from redis import Redis
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from analytics.project import Project
from app import lifespan, quick_redis
from app.accounts import keys, projects
from app.accounts.keys import Scope
from app.accounts.passwords import Cost, Passwords
from app.accounts.secret_key import secret_key
from app.accounts.sessions import SessionKey
from app.accounts.tokens import Claims, Signer, TokenType, new_id
from app.cli.project import in_transaction
from app.local.servers import ServerUrls
from app.main import create_app
from app.settings import Registration, Settings
from tests.conftest import Database


@dataclass(frozen=True, slots=True)
class Caller:
    """A project and the headers of a caller with each kind of key."""

    project: Project
    read: dict[str, str]
    ingest: dict[str, str]


@dataclass(frozen=True, slots=True)
class Person:
    """A user who has logged in, and the headers of their requests."""

    id: int
    email: str
    refresh_token: str
    headers: dict[str, str]


PASSWORD = "correct horse battery staple"
ENDED = (401, "unauthenticated")
MakePerson = Callable[[str], Person]


@pytest.fixture(scope="module", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Hashes of a hundredth of the cost: most tests are about something else."""
    with pytest.MonkeyPatch.context() as patch:
        cost = Cost(memory_kib=1024, rounds=1)
        patch.setattr(lifespan, "Passwords", partial(Passwords, cost=cost))
        yield


@pytest.fixture
def dear_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes as they are outside tests, in apps that the test makes itself."""
    monkeypatch.setattr(lifespan, "Passwords", Passwords)


@pytest.fixture(scope="module")
def settings(servers: ServerUrls, module_database: Database) -> Settings:
    # Other databases of this worker have users and keys with the same ids.
    Redis.from_url(servers.redis).flushdb()
    return Settings(
        database_url=SecretStr(module_database.writer),
        database_reader_url=SecretStr(module_database.reader),
        redis_url=SecretStr(servers.redis),
        registration=Registration.OPEN,
        auth_address_rate_limit=100_000,  # all tests come from one address
    )


@pytest.fixture(scope="module")
def patience() -> Iterator[None]:
    """Redis may take its time: on a machine at work 50 ms are over before it is its turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick_redis, "PATIENCE_SECONDS", 10.0)
        yield


@pytest.fixture(scope="module")
def client(settings: Settings, patience: None) -> Iterator[TestClient]:
    with TestClient(create_app(settings, local=True), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def make_caller(module_database: Database) -> Callable[..., Caller]:
    def make(name: str, timezone: str = "UTC", week_start: WeekStart = WeekStart.MONDAY) -> Caller:
        async def work(connection: AsyncConnection) -> Caller:
            project = await projects.create(connection, name, timezone, week_start)
            made = {
                scope: (await keys.create(connection, project.id, scope)).secret for scope in Scope
            }
            return Caller(
                project,
                *({"Authorization": f"Bearer {made[s]}"} for s in (Scope.READ, Scope.INGEST)),
            )

        return asyncio.run(in_transaction(module_database.writer, work))

    return make


def log_in(client: TestClient, email: str, password: str = PASSWORD) -> dict[str, Any]:
    """What a login answers."""
    answer = client.post("/api/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def ascii_json(text: str) -> bytes:
    return json.dumps(text).encode()


def refreshed(client: TestClient, token: str) -> Any:
    return client.post("/api/auth/refresh", json={"refresh_token": token})


def me(client: TestClient, headers: dict[str, str]) -> Any:
    return client.get("/api/auth/me", headers=headers)


@pytest.fixture(scope="module")
def make_person(client: TestClient) -> Callable[[str], Person]:
    """Registers somebody and logs them in."""

    def make(name: str) -> Person:
        email = f"{name}@example.com"
        account = client.post("/api/auth/register", json={"email": email, "password": PASSWORD})
        assert account.status_code == 201, account.text
        tokens = log_in(client, email)
        return Person(
            account.json()["id"], email, tokens["refresh_token"], bearer(tokens["access_token"])
        )

    return make


@pytest.fixture(scope="module")
def new_session(servers: ServerUrls, module_database: Database) -> Callable[[Person], str]:
    """An access token of a new session, without the time that a login takes."""
    redis = Redis.from_url(servers.redis)
    signer = Signer(secret_key(Settings()))

    def begin(person: Person) -> str:
        with psycopg.connect(module_database.owner) as connection:
            statement = "select token_version from users where id = %s"
            (generation,) = connection.execute(statement, (person.id,)).fetchone() or (0,)
        session = SessionKey(person.id, new_id())
        redis.hset(session.entry, "current", "none")
        claims = Claims(person.id, session.session_id, generation, new_id())
        return signer.issue(TokenType.ACCESS, claims, timedelta(minutes=5))

    return begin


@pytest.fixture(scope="module")
def join(module_database: Database) -> Callable[[Person, Project, str], None]:
    """Makes somebody a member, or gives them another role."""

    def join(person: Person, project: Project, role: str) -> None:
        with psycopg.connect(module_database.owner) as connection:
            connection.execute(
                "insert into members (project_id, user_id, role) values (%s, %s, %s) "
                "on conflict (project_id, user_id) do update set role = excluded.role",
                (project.id, person.id, role),
            )

    return join


@pytest.fixture(scope="module")
def caller(make_caller: Callable[..., Caller], request: pytest.FixtureRequest) -> Caller:
    return make_caller(request.module.__name__)
