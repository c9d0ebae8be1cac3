"""`python -m benchmarks.capacity`: measure, keep the figures as JSON, write docs/capacity.md."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
from rich.console import Console

from app.database.migrate import upgrade
from app.local.home import Home
from app.local.servers import ServerOptions, ServerUrls, local_servers
from benchmarks import machine
from benchmarks.capacity.page import PAGE, PUBLISHED, page
from benchmarks.capacity.partitions import measure_partitions
from benchmarks.capacity.removals import measure_removals
from benchmarks.capacity.storing import measure_storing
from benchmarks.machine import alone
from benchmarks.mirror.building import measure_builds
from benchmarks.mirror.database import Database
from benchmarks.mirror.questions import PROJECT

SIZES: Final = (250_000, 500_000, 1_000_000, 2_000_000)
_OPTIONS: Final = ServerOptions(settings={"max_wal_size": "4GB", "autovacuum": "off"})


@contextmanager
def _servers() -> Iterator[ServerUrls]:
    """Servers with the schema and the project that questions are about."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as home,
        local_servers(Home(Path(home)), options=_OPTIONS) as urls,
    ):
        upgrade(urls.owner)
        with psycopg.connect(urls.owner, autocommit=True) as connection:
            connection.execute(
                "insert into projects (name, timezone) values (%s, %s)",
                [PROJECT.name, PROJECT.timezone],
            )
        yield urls


def _stored_and_built(urls: ServerUrls, sizes: tuple[int, ...]) -> dict[str, Any]:
    """What Postgres takes at each size, and what a mirror of it takes at each."""
    stored, builds = [], []
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        for size in sizes:
            stored += measure_storing(urls.owner, urls.writer, (size,))
            filled = Database(urls, Path(folder), {"events": size})
            builds.append({"events": size, **measure_builds(filled, 1)})
    return {"stored": stored, "builds": builds}


def _removed(urls: ServerUrls, size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        return measure_removals(urls, Path(folder), size)


def measure(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Every part, each with servers of its own."""
    told = Console(stderr=True)
    result: dict[str, Any] = {
        "what": "capacity",
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "others_busy": [],
    }
    parts: dict[str, Callable[[ServerUrls], Any]] = {
        "storing": lambda urls: _stored_and_built(urls, sizes),
        "partitions": lambda urls: measure_partitions(
            urls.owner, urls.writer, urls.reader, sizes[0]
        ),
        "removals": lambda urls: _removed(urls, sizes[-1]),
    }
    for name, part in parts.items():
        told.print(f"{datetime.now(UTC):%H:%M:%S} {name}", highlight=False)
        with _servers() as urls, alone() as others:
            result[name] = part(urls)
            result["others_busy"].append(others)
    return result


def main() -> None:
    """Measure up to BENCHMARK_EVENTS (two million), publish; with --page only write the page."""
    if "--page" not in sys.argv:
        most = int(os.environ.get("BENCHMARK_EVENTS", SIZES[-1]))
        result = measure(tuple(most * size // SIZES[-1] for size in SIZES))
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        kept = Path(os.environ.get("BENCHMARK_RESULT", PUBLISHED))
        kept.write_bytes(orjson.dumps(result, option=options))
        if kept != PUBLISHED:
            sys.stdout.write(page(result))
            return
    PAGE.write_text(page(orjson.loads(PUBLISHED.read_bytes())))


if __name__ == "__main__":
    main()
