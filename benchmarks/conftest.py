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
from app.local.servers import ServerOptions, local_servers
from benchmarks.generate import digest, events
from benchmarks.load import copy_in

SIZE = int(os.environ.get("BENCHMARK_EVENTS", "1000000"))
DIGESTS = {1_000_000: "e5d284dcc51a744281a151adc4e0e9be134a085d0df14fbaf78fb963b088c143"}
PROJECT = Project(ProjectId(1), "benchmark")


@pytest.fixture(scope="session")
def reader() -> Iterator[str]:
    """The reader's address of a database with SIZE events, vacuumed, everything in memory."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Home(Path(folder)), options=ServerOptions(shared_buffers_mb=2048)) as urls,
    ):
        upgrade(urls.owner)
        rows = events(SIZE)
        if SIZE in DIGESTS:
            assert digest(rows) == DIGESTS[SIZE], (
                "the generator made other events than those measured before"
            )
        asyncio.run(copy_in(urls.writer, PROJECT.id, rows))
        with psycopg.connect(urls.owner, autocommit=True) as connection:
            connection.execute("vacuum (analyze) events")
        yield urls.reader


@pytest.fixture(scope="session")
def engines(reader: str) -> Iterator[Engines]:
    """Every engine, on that database."""
    with Engines.connect(reader, timeout=timedelta(minutes=5)) as opened:
        yield opened
