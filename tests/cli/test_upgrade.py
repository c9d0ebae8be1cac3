"""The version before the newest migration, taken from the history, beside the new schema and code.

Both are whole servers at work while the schema changes under the old one, in the order that
docs/operations.md gives. The older version runs with the packages of today.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import httpx
import psycopg
import pytest
from alembic.script import ScriptDirectory

from app.database.migrate import _config
from app.local.servers import ServerUrls
from tests.cli.test_up import TIDEMARK
from tests.conftest import Database
from tests.faults.service import Headers, Reply, Service
from tests.faults.traffic import QUESTIONS, TOTAL, Traffic, events

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("app", "analytics", "ingest", "migrations")
PASSWORD: Final = "correct horse battery staple"


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True).stdout


@dataclass(frozen=True)
class Version:
    """How a version's command is called, with which settings besides."""

    command: Sequence[str]
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def service(self, folder: Path) -> Service:
        folder.mkdir()
        return Service(
            {**self.environment, "MIRROR_DIRECTORY": str(folder / "mirrors")},
            folder / "log",
            {},
            self.command,
        )


@pytest.fixture
def versions(
    empty_database: Database, servers: ServerUrls, tmp_path: Path, secret_key: str
) -> tuple[Version, Version]:
    """The one before the newest migration, and this one, with a database that is empty yet."""
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("this clone has no history to take the version before from")
    newest = ScriptDirectory.from_config(_config("")).get_revision("head")
    assert newest is not None
    (added,) = git("log", "--diff-filter=A", "--format=%H", "--", newest.path).split()
    before = tmp_path / "before"
    archive = git("archive", "--format=tar", f"{added.decode()}^", *PACKAGES)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(before, filter="data")
    environment = {
        **os.environ,
        "DATABASE_URL": empty_database.writer,
        "DATABASE_OWNER_URL": empty_database.owner,
        "DATABASE_READER_URL": empty_database.reader,
        "REDIS_URL": servers.redis,
        "SECRET_KEY": secret_key,
        "METRICS_TOKEN": "for-the-metrics-of-this-test",
        "TIDEMARK_HOME": str(tmp_path / "home"),
        "REGISTRATION": "open",
        "EXPIRE_EVERY": "1",
        "STATS_RATE_LIMIT": "1000000",
        "DUCKDB_MEMORY_MB": "128",
        "LOG_FORMAT": "json",
    }
    # -P: else the folder that the tests run in would come first.
    as_module = (sys.executable, "-P", "-c", "from app.cli.main import run; run()")
    return (
        Version(as_module, {**environment, "PYTHONPATH": str(before)}),
        Version((TIDEMARK,), environment),
    )


class Person:
    """Somebody who does over HTTP all that writes to a table."""

    def __init__(self, service: Service) -> None:
        self._client = httpx.Client(base_url=f"{service.url}/api", timeout=30)
        self.name = uuid4().hex
        self.id = 0

    def __enter__(self) -> Self:
        account = {"email": f"{self.name}@example.com", "password": PASSWORD}
        self.id = self.call("POST", "/auth/register", account)["id"]
        tokens = self.call("POST", "/auth/login", account)
        tokens = self.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
        self._client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Asked again where Redis was given too little time: its 50 ms are wall time."""
        for _ in range(20):
            answer = self._client.request(method, path, json=body, headers=headers)
            if "redis_unavailable" not in answer.text:
                break
            time.sleep(0.3)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def project(self) -> int:
        made = self.call("POST", "/projects", {"name": self.name, "timezone": "Europe/Kyiv"})
        self.call("PATCH", f"/projects/{made['id']}", {"name": f"{self.name} again"})
        return int(made["id"])

    def keys(self, project: int) -> dict[str, dict[str, str]]:
        """One a scope; each is made, and put in the place of another."""
        made = {}
        for scope in ("ingest", "read"):
            first = self.call("POST", f"/projects/{project}/keys", {"scope": scope})
            path = f"/projects/{project}/keys/{first['id']}"
            second = self.call("POST", f"{path}/rotate", {"grace_hours": 1})
            self.call("DELETE", path)
            made[scope] = {"Authorization": f"Bearer {second['key']}"}
        return made

    def invite(self, other: Person, project: int) -> None:
        path = f"/projects/{project}"
        kept, withdrawn = (self.call("POST", f"{path}/invitations", {}) for _ in range(2))
        self.call("DELETE", f"{path}/invitations/{withdrawn['id']}")
        other.call("POST", "/invitations/accept", {"invitation": kept["invitation"]})
        self.call("PATCH", f"{path}/members/{other.id}", {"role": "viewer"})
        other.call("POST", f"{path}/leave")

    def forget(self, project: int) -> None:
        """Events are written, one person's erased; what is older than a day expires."""
        key = self.keys(project)["ingest"]
        rows = events(0, 100)
        self.call("POST", "/events", rows, **key)
        path = f"/projects/{project}"
        erased = self.call("DELETE", f"{path}/users/{rows[0]['user_id']}/events")
        assert erased["events"] == 1
        assert self.call("GET", f"{path}/erasures/{erased['id']}")["events"] == 1
        self.call("PUT", f"{path}/storage-period", {"days": 1})

    def change_password(self) -> None:
        new = {"current_password": PASSWORD, "new_password": PASSWORD[::-1]}
        self.call("POST", "/auth/change-password", new)


def everything(service: Service) -> int:
    """A round of all writes, by people of its own; the project whose events expire."""
    with Person(service) as one, Person(service) as two:
        project = one.project()
        one.invite(two, project)
        one.forget(project)
        two.change_password()
    return project


def traffic_of(service: Service) -> tuple[Traffic, int]:
    """Traffic to a service, which is started, and to the project of its own that it has."""
    service.start()
    with Person(service) as person:
        project = person.project()
        service.keys.update(person.keys(project))
    return Traffic(service, senders=1), project


def answered(service: Service, path: str, headers: Headers) -> Reply:
    """The reply, which is asked for again while the mirror or Redis had no time for it."""
    end = time.monotonic() + 60
    while (reply := service.get(path, headers)).status == 503:
        assert time.monotonic() < end, (path, reply)
        time.sleep(0.3)
    return reply


def require_exact(traffic: Traffic, services: Sequence[Service], project: int, owner: str) -> None:
    """All that was acknowledged is there once, and both versions answer alike, by every engine."""
    assert (traffic.wrong, traffic.failures) == ([], [])
    with psycopg.connect(owner) as connection:
        rows = connection.execute(
            "select event_id::text from events where project_id = %s", [project]
        ).fetchall()
    assert sorted(event_id for (event_id,) in rows) == sorted(traffic.acknowledged)
    headers = traffic.service.keys["read"]
    for question in QUESTIONS:
        replies = [
            answered(service, f"{question}{engine}", headers)
            for service in services
            for engine in ("&engine=postgres", "&engine=mirror", "")
        ]
        assert {reply.status for reply in replies} == {200}, replies
        assert all(reply.body == replies[0].body for reply in replies)
        if question == TOTAL:
            assert sum(row["count"] for row in replies[0].body) == len(rows)


def require_expired(projects: list[int], owner: str) -> None:
    """Whichever version's job it was, their old events go."""
    left = "select count(*) from events where project_id = any(%s)"
    end = time.monotonic() + 30
    with psycopg.connect(owner, autocommit=True) as connection:
        while connection.execute(left, [projects]).fetchone() != (0,):
            assert time.monotonic() < end
            time.sleep(0.1)


def require_quiet(service: Service) -> None:
    """It has logged nothing that went wrong."""
    bad = [line for line in service.log.read_text().splitlines() if '"level":"error"' in line]
    assert bad == []


def test_version_before_works_on_beside_the_new_schema_and_code(
    versions: tuple[Version, Version], empty_database: Database, tmp_path: Path
) -> None:
    before, after = versions
    made = before.run("migrate")
    assert made.returncode == 0, made.stderr
    assert after.run("migrate", "--check").returncode != 0
    old, new = before.service(tmp_path / "old"), after.service(tmp_path / "new")
    try:
        of_old, old_project = traffic_of(old)
        with of_old.flowing():
            expiring = [everything(old)]
            migrated = after.run("migrate")
            assert migrated.returncode == 0, migrated.stderr
            refused = before.run("expire")
            assert "schema" in refused.stderr, "this is not the older version"
            expiring.append(everything(old))
            of_new, new_project = traffic_of(new)
            with of_new.flowing():
                expiring.append(everything(new))
                of_old.until_acknowledged(200)
        for traffic, project in ((of_old, old_project), (of_new, new_project)):
            require_exact(traffic, (old, new), project, empty_database.owner)
        require_expired(expiring, empty_database.owner)
        for service in (old, new):
            require_quiet(service)
            service.stop()
    finally:
        old.end()
        new.end()
