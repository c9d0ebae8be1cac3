"""A Postgres with generated events, kept on disk as `tidemark up` would, with more memory."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyarrow.parquet

from app.database.migrate import upgrade
from app.local.home import Home
from app.local.servers import ServerOptions, ServerUrls, local_servers
from benchmarks import baseline
from benchmarks.generate import digest, measured_events
from benchmarks.load import copy_in
from benchmarks.mirror.questions import PROJECT
from benchmarks.mirror.scale import FULL_SIZE
from benchmarks.own_process import in_own_process

Facts = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Database:
    """Servers with events, and a folder for whatever else a run needs; both go with the block.

    Attributes:
        urls: of the servers.
        folder: closed to the servers' user.
        facts: of the events.
    """

    urls: ServerUrls
    folder: Path
    facts: Facts

    @property
    def parquet(self) -> Path:
        """The events as a file, for engines that don't read Postgres."""
        return self.folder / "events.parquet"

    @property
    def mirrors(self) -> Path:
        """Below which mirrors lie."""
        return self.folder / "mirror"


@contextmanager
def database(size: int) -> Iterator[Database]:
    """`size` events, vacuumed. They are made and loaded by a process that is gone afterwards."""
    options = ServerOptions(
        shared_buffers_mb=baseline.SHARED_BUFFERS_MB if size >= FULL_SIZE else 128,
        settings=baseline.SERVER,
    )
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as home,
        tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder,
        local_servers(Home(Path(home)), options=options) as urls,
    ):
        upgrade(urls.owner)
        with psycopg.connect(urls.owner, autocommit=True) as connection:
            connection.execute(
                "insert into projects (name, timezone) values (%s, %s)",
                [PROJECT.name, PROJECT.timezone],
            )
            facts = in_own_process(_load, urls.writer, size, Path(folder) / "events.parquet")
            connection.execute("vacuum (analyze) events")
        yield Database(urls, Path(folder), facts)


def _load(writer: str, size: int, parquet: Path) -> Facts:
    rows = measured_events(size)
    columns = ["event_id", "occurred_at", "user_id", "event_type"]
    pyarrow.parquet.write_table(rows.select(columns), parquet)
    started = time.perf_counter()
    assert asyncio.run(copy_in(writer, PROJECT.id, rows)) == size
    seconds = time.perf_counter() - started
    return {
        "events": size,
        "users": len(rows["user_id"].unique()),
        "digest": digest(rows),
        "load_seconds": round(seconds, 1),
    }
