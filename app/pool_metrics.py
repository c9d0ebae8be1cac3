"""How much of what requests share is in use: connections to Postgres, threads, turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import asyncpg
from prometheus_client import Gauge
from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from app.observability import Metrics
from app.turns import Turns

REFRESH_SECONDS: Final = 5.0
"""How old the other workers' gauges may be where one answers for all."""


@dataclass(frozen=True, slots=True)
class Pools:
    """What is counted."""

    accounts: AsyncEngine
    events: asyncpg.Pool
    questions: Turns
    threads: ThreadPoolExecutor


class PoolMetrics:
    """Gauges of the pools; `size` is what they may grow to."""

    def __init__(self, pools: Pools, metrics: Metrics) -> None:
        """Has them refreshed before metrics are read."""
        self._pools = pools
        self._gauges = {
            name: Gauge(
                f"pool_{name}",
                text,
                ["pool"],
                multiprocess_mode="livesum",
                registry=metrics.registry,
            )
            for name, text in (
                ("size", "How many connections, threads or turns there are at most."),
                ("in_use", "How many of these are in use."),
                ("waiting", "What waits for one, where that is known."),
            )
        }
        metrics.refreshes.append(self.refresh)

    def refresh(self) -> None:
        """Sets the gauges to what is so now."""
        for pool, size, in_use, waiting in self._counted():
            self._gauges["size"].labels(pool).set(size)
            self._gauges["in_use"].labels(pool).set(in_use)
            if waiting is not None:
                self._gauges["waiting"].labels(pool).set(waiting)

    def _counted(self) -> Sequence[tuple[str, int, int, int | None]]:
        events, questions, threads = self._pools.events, self._pools.questions, self._pools.threads
        accounts = self._pools.accounts.pool
        assert isinstance(accounts, QueuePool)  # noqa: S101 - what an engine of ours has
        open_connections = events.get_size() - events.get_idle_size()
        return (
            ("events", events.get_max_size(), open_connections, None),
            ("accounts", accounts.size(), accounts.checkedout(), None),
            ("questions", questions.at_once, questions.working, questions.waiting),
            # Python doesn't tell how many of a pool's threads work; those it has started it keeps.
            ("threads", threads._max_workers, len(threads._threads), threads._work_queue.qsize()),  # noqa: SLF001
        )


async def refreshing(metrics: Metrics) -> None:
    """Refreshes all gauges now and then, until cancelled."""
    while True:
        for refresh in metrics.refreshes:
            refresh()
        await asyncio.sleep(REFRESH_SECONDS)
