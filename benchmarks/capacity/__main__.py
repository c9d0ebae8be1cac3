"""`python -m benchmarks.capacity [removals]`: measure, keep the figures, write docs/capacity.md.

`removals` measures that alone, which takes longer than all else. --page only writes the page.
"""

from __future__ import annotations

import os
import signal
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
from benchmarks.capacity.page import PAGE, PUBLISHED, PUBLISHED_REMOVALS, page, removals_part
from benchmarks.capacity.partitions import measure_partitions
from benchmarks.capacity.removals import EVENTS, measure_removals
from benchmarks.capacity.storing import measure_storing
from benchmarks.machine import alone
from benchmarks.mirror.building import measure_builds
from benchmarks.mirror.database import Database
from benchmarks.mirror.questions import PROJECT

SIZES: Final = (250_000, 500_000, 1_000_000, 2_000_000)
_OPTIONS: Final = ServerOptions(settings={"max_wal_size": "4GB", "autovacuum": "off"})
_DEFAULTS: Final = ServerOptions()


@contextmanager
def _servers(options: ServerOptions = _OPTIONS) -> Iterator[ServerUrls]:
    """Servers with the schema and the project that questions are about."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemark-bench-", ignore_cleanup_errors=True) as home,
        local_servers(Home(Path(home)), options=options) as urls,
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


def _circumstances(what: str) -> dict[str, Any]:
    return {
        "what": what,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "others_busy": [],
    }


def removals(size: int) -> dict[str, Any]:
    """Most of so many events removed at once, with the servers' settings as everybody has them."""
    result = _circumstances("removals")
    with (
        _servers(_DEFAULTS) as urls,
        tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder,
        alone() as others,
    ):
        result["others_busy"].append(others)
        return result | measure_removals(urls, Path(folder), size)


def measure(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Every part, each with servers of its own."""
    told = Console(stderr=True)
    result = _circumstances("capacity")
    parts: dict[str, Callable[[ServerUrls], Any]] = {
        "storing": lambda urls: _stored_and_built(urls, sizes),
        "partitions": lambda urls: measure_partitions(
            urls.owner, urls.writer, urls.reader, sizes[0]
        ),
    }
    for name, part in parts.items():
        told.print(f"{datetime.now(UTC):%H:%M:%S} {name}", highlight=False)
        with _servers() as urls, alone() as others:
            result[name] = part(urls)
            result["others_busy"].append(others)
    return result


def main() -> None:
    """Measure up to BENCHMARK_EVENTS, publish and write the page, or print where it is kept."""
    # Ended from outside, it still stops its servers and removes gigabytes of files.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    given = os.environ.get("BENCHMARK_EVENTS")
    if sys.argv[1:] == ["removals"]:
        result = removals(int(given or EVENTS))
        if _kept(result, PUBLISHED_REMOVALS):
            sys.stdout.write(removals_part(result))
            return
    elif "--page" not in sys.argv:
        most = int(given or SIZES[-1])
        result = measure(tuple(most * size // SIZES[-1] for size in SIZES))
        if _kept(result, PUBLISHED):
            sys.stdout.write(page(result, _read(PUBLISHED_REMOVALS)))
            return
    PAGE.write_text(page(_read(PUBLISHED), _read(PUBLISHED_REMOVALS)))


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def _kept(result: dict[str, Any], published: Path) -> bool:
    """Write it down; whether BENCHMARK_RESULT names another place than where it is published."""
    kept = Path(os.environ.get("BENCHMARK_RESULT", published))
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    kept.write_bytes(orjson.dumps(result, option=options))
    return kept != published


if __name__ == "__main__":
    main()
