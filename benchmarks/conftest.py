"""A Postgres with a million generated events, for the cases to ask."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from analytics.engines.choose import Engines
from analytics.events import ProjectId
from analytics.project import Project
from app.database.migrate import upgrade
from app.local.home import Home
from app.local.servers import ServerOptions, ServerUrls, local_servers
from benchmarks.generate import measured_events
from benchmarks.load import copy_in
from benchmarks.mirror.keeping import ready_mirror

SIZE = int(os.environ.get("BENCHMARK_EVENTS", "1000000"))
PROJECT = Project(ProjectId(1), "benchmark")


@pytest.fixture(scope="session")
def urls() -> Iterator[ServerUrls]:
    """The addresses of a database with SIZE events, vacuumed, everything in memory."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Home(Path(folder)), options=ServerOptions(shared_buffers_mb=2048)) as urls,
    ):
        upgrade(urls.owner)
        asyncio.run(copy_in(urls.writer, PROJECT.id, measured_events(SIZE)))
        with psycopg.connect(urls.owner, autocommit=True) as connection:
            connection.execute("vacuum (analyze) events")
        yield urls


@pytest.fixture(scope="session")
def engines(urls: ServerUrls) -> Iterator[Engines]:
    """Every engine, on that database; its mirror is built."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder,
        ready_mirror(Path(folder), urls) as keeper,
        Engines.connect(urls.reader, timeout=timedelta(minutes=5), keeper=keeper) as opened,
    ):
        yield opened
