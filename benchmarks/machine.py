"""Where something was measured, and whether anybody else was using the machine meanwhile."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

_LOOK_SECONDS = 0.25
_IDLE_SHARE = 0.1
_PATIENCE_SECONDS = "20"
_PACKAGES = ("tidemark", "duckdb", "pyarrow", "psycopg", "asyncpg", "numpy")


def facts() -> dict[str, str | int]:
    """Processor, cores, memory and versions."""
    cpus = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpus.read_text()) if cpus.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


@contextmanager
def alone() -> Iterator[float]:
    """A block in which to measure; yields the share of all cores that others use just before it.

    Waits BENCHMARK_PATIENCE seconds at most for a quiet moment. Where several benchmarks share a
    machine, BENCHMARK_LOCK names a file that they all lock in turn.
    """
    name = os.environ.get("BENCHMARK_LOCK")
    lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o666) if name else None
    try:
        if lock is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        patience = float(os.environ.get("BENCHMARK_PATIENCE", _PATIENCE_SECONDS))
        end = time.monotonic() + patience
        while (busy := busy_share()) > _IDLE_SHARE and time.monotonic() < end:
            pass
        yield round(busy, 2)
    finally:
        if lock is not None:
            os.close(lock)


def busy_share() -> float:
    """How much of all cores' time is used while this process waits, from 0 to 1."""
    before = _processor_times()
    time.sleep(_LOOK_SECONDS)
    idle, total = (
        after - earlier for after, earlier in zip(_processor_times(), before, strict=True)
    )
    return 1 - idle / total if total else 0.0


def _processor_times() -> tuple[int, int]:
    """Idle and all ticks of all cores since the machine started (Linux)."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
