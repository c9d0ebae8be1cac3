"""A Tidemark as `tidemark serve` runs it, in a process of its own, with servers that keep data."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from analytics.events import ProjectId
from app.accounts import keys, projects
from app.accounts.keys import Scope
from app.cli.project import in_transaction
from app.database.migrate import upgrade
from app.local.home import Home
from app.local.servers import ServerOptions, ServerUrls, local_servers

TIDEMARK = str(Path(sys.executable).parent / "tidemark")
NO_LIMIT = "1000000000"
PROJECT = "benchmark"


@dataclass(frozen=True, slots=True)
class Serving:
    """A running server.

    Attributes:
        port: on the loopback address.
        pid: of its process.
        urls: of its database.
        project_id: of its only project.
        key: may write to the project.
        read_key: may ask about it.
        environment: the settings it runs with, for other commands.
    """

    port: int
    pid: int
    urls: ServerUrls
    project_id: ProjectId
    key: str
    read_key: str
    environment: dict[str, str]

    @property
    def peak_mb(self) -> float:
        """The most memory the process has had at once, in MB (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 / 1e6 if found else float("nan")


@contextmanager
def serving(*, mirror: bool = True) -> Iterator[Serving]:
    """Servers, schema, key and API, for as long as the block runs."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Home(Path(folder)), options=ServerOptions(shared_buffers_mb=512)) as urls,
    ):
        upgrade(urls.owner)
        project_id, key, read_key = asyncio.run(in_transaction(urls.writer, _project_and_keys))
        environment = _environment(urls, mirror)
        with _process(environment) as (process, port):
            yield Serving(port, process.pid, urls, project_id, key, read_key, environment)


@contextmanager
def serving_too(server: Serving, workers: int) -> Iterator[Serving]:
    """Another server over the same database, with so many processes."""
    with _process(server.environment, "--workers", str(workers)) as (process, port):
        yield replace(server, port=port, pid=process.pid)


async def _project_and_keys(connection: AsyncConnection) -> tuple[ProjectId, str, str]:
    project = await projects.create(connection, PROJECT, "UTC", WeekStart.MONDAY)
    ingest = await keys.create(connection, project.id, Scope.INGEST)
    read = await keys.create(connection, project.id, Scope.READ)
    return project.id, ingest.secret, read.secret


def _environment(urls: ServerUrls, mirror: bool) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": urls.writer,
        "DATABASE_READER_URL": urls.reader,
        "REDIS_URL": urls.redis,
        "SECRET_KEY": secrets.token_urlsafe(32),
        "RATE_LIMIT": NO_LIMIT,
        "STATS_RATE_LIMIT": NO_LIMIT,
        "MIRROR": str(mirror),
    }


@contextmanager
def _process(
    environment: dict[str, str], *options: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(  # noqa: S603 - our own command
        [TIDEMARK, "serve", "--port", "0", *options],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r":(\d+)/", line)
            assert found, f"the server did not start: {line}"
            yield process, int(found[1])
        finally:
            process.terminate()
