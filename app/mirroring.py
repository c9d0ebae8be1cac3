"""The mirror of a serving process: where it lies, what it may use, and what metrics say of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from analytics.answer import Answer
from analytics.duck import DuckLimits
from analytics.mirror.keeper import Keeper
from analytics.mirror.plan import Plan, age
from analytics.mirror.sync import Synced
from app.local.home import Home
from app.servers import Servers
from app.settings import Settings

SYNC_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class MirrorMetrics:
    """What Prometheus hears of the mirror; a `keeper.Listener`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Takes the registry that /metrics answers from; without one nobody will."""
        registry = registry or CollectorRegistry()
        self._synced: Synced | None = None
        self.lag = Gauge(
            "mirror_lag_seconds",
            "How far the mirror is behind Postgres; exact answers are never. Of several workers'"
            " the one that is furthest.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.tail = Gauge(
            "mirror_tail_rows",
            "Events above the tidemark when it was last moved, counted up to 300,001.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.seconds = Histogram(
            "mirror_sync_seconds", "Duration of a sync.", buckets=SYNC_SECONDS, registry=registry
        )
        self.rows = Counter(
            "mirror_synced_rows",
            "Events that syncs took in or out.",
            ["direction"],
            registry=registry,
        )
        self.builds = Counter(
            "mirror_builds",
            "Mirrors built, by why the one before was given up.",
            ["cause"],
            registry=registry,
        )
        self.built_rows = Counter("mirror_built_rows", "Events read by builds.", registry=registry)
        self.build_seconds = Counter(
            "mirror_build_seconds", "Time that builds took.", registry=registry
        )
        self.failures = Counter(
            "mirror_failures", "Syncs and builds that failed.", ["cause"], registry=registry
        )
        self.pruned_rows = Counter(
            "mirror_pruned_removals",
            "Logged removals deleted because every mirror has passed them.",
            registry=registry,
        )
        self.answers = Counter(
            "answers", "Answers by engine and reason.", ["engine", "reason"], registry=registry
        )

    def synced(self, synced: Synced) -> None:
        """See `keeper.Listener`."""
        self._synced = synced
        self.tail.set(synced.tail)
        if synced.rows or synced.removals:
            self.seconds.observe(synced.seconds)
            self.rows.labels("in").inc(synced.rows)
            self.rows.labels("out").inc(synced.removals)

    def failed(self, cause: str) -> None:
        """See `keeper.Listener`."""
        self.failures.labels(cause).inc()

    def built(self, cause: str, rows: int, seconds: float) -> None:
        """See `keeper.Listener`."""
        self.builds.labels(cause).inc()
        self.built_rows.inc(rows)
        self.build_seconds.inc(seconds)

    def pruned(self, removals: int) -> None:
        """See `keeper.Listener`."""
        self.pruned_rows.inc(removals)

    def answered(self, answer: Answer[object]) -> None:  # type: ignore[type-var]  # any row will do
        """Counts an answer."""
        self.answers.labels(answer.meta.engine, answer.meta.reason).inc()

    def refresh(self) -> None:
        """Sets what changes by itself; NaN, as Prometheus writes it, before the first sync."""
        seconds = age(self._synced.as_of, datetime.now(UTC)) if self._synced else None
        self.lag.set(float("nan") if seconds is None else seconds)


def keeper_of(settings: Settings, servers: Servers, metrics: MirrorMetrics) -> Keeper | None:
    """A keeper for the process's mirror, not started yet; None where none is wanted.

    Raises:
        UnusableDirectory: the data directory can't be used.
    """
    if not settings.mirror:
        return None
    if settings.mirror_directory is None:
        Home(settings.tidemark_home).claim()
    return Keeper(
        Plan(
            folder=mirror_folder(settings),
            reader=servers.reader,
            writer=servers.writer,
            limits=duck_limits(settings),
            listener=metrics,
            asked_at_once=settings.questions_at_once,
        )
    )


def duck_limits(settings: Settings) -> DuckLimits:
    """What each of the process's DuckDB databases may use."""
    return DuckLimits(
        threads=settings.duckdb_threads,
        memory_megabytes=settings.duckdb_memory_mb,
        spill_megabytes=settings.duckdb_spill_mb,
    )


def mirror_folder(settings: Settings) -> Path:
    """The folder below which each process has its mirror's own."""
    return settings.mirror_directory or Home(settings.tidemark_home).mirror
