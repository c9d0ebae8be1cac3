"""What is looked at every few seconds, and whether it levels off."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.serving import Serving

Samples = list[dict[str, float]]

MEASURES: Final = {
    "memory_mb": "memory of the server, MB",
    "files_open": "files and sockets the server holds",
    "connections": "connections to Postgres",
    "mirror_mb": "the mirror's folder, MB",
    "events_mb": "table events with its indexes, MB",
    "removed_mb": "the log of removals with its index, MB",
}
MOST_GROWTH: Final = 0.1
"""From the peak of the third quarter of a run to that of the last."""
_POSTGRES: Final = """/* soak */
select
    (select count(*) from pg_stat_activity where backend_type = 'client backend'),
    pg_total_relation_size('events'), pg_total_relation_size('events_removed')"""


class Sampler:
    """Looks at one server, its mirror and its Postgres."""

    def __init__(self, serving: Serving, mirrors: Path) -> None:
        """Takes the folder below which the server keeps its mirror."""
        self._serving, self._mirrors = serving, mirrors
        self._began = time.monotonic()

    def sample(self) -> dict[str, float]:
        """All of MEASURES now, and `minutes` since the beginning."""
        process = Path(f"/proc/{self._serving.pid}")
        memory = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text())
        with psycopg.connect(self._serving.urls.admin, autocommit=True) as connection:
            row: tuple[Any, ...] | None = connection.execute(_POSTGRES).fetchone()
        assert memory is not None
        assert row is not None
        return {
            "minutes": round((time.monotonic() - self._began) / 60, 3),
            "memory_mb": round(int(memory[1]) * 1024 / 1e6, 1),
            "files_open": len(list((process / "fd").iterdir())),
            "connections": row[0] - 1,  # not this one
            "mirror_mb": round(_bytes(self._mirrors) / 1e6, 2),
            "events_mb": round(row[1] / 1e6, 2),
            "removed_mb": round(row[2] / 1e6, 2),
        }


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # the mirror was replaced meanwhile
    return total


def growth(samples: Samples, measure: str) -> float:
    """How much higher the peak of the last quarter is than that of the quarter before.

    Files are rewritten now and then, so a line through them would say where in a wave a run ended.
    """
    quarter = max(len(samples) // 4, 1)
    before = max((each[measure] for each in samples[-2 * quarter : -quarter]), default=0.0)
    return max(each[measure] for each in samples[-quarter:]) / before - 1 if before else 0.0


def growing(samples: Samples) -> list[str]:
    """The measures that don't level off."""
    return [name for name in MEASURES if growth(samples, name) > MOST_GROWTH]
