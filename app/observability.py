"""Every metric of Tidemark's own, beside those that the instrumentator keeps of HTTP requests.

`ingest` knows no metrics: what is counted here comes from its results and reports. Labels take few
values, all of them ours.

With several worker processes prometheus_client keeps every value in files of
PROMETHEUS_MULTIPROC_DIR, which must be set before Python starts, and whichever worker is asked
adds them up. So a gauge says by `multiprocess_mode` how (always a `live` one: what a dead process
held is gone), and its value is set, never computed when it is read: `refreshes` are called before
each answer and, for the other workers' sake, every few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from secrets import compare_digest
from typing import Any

from fastapi import Depends, FastAPI, Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.middleware import PrometheusInstrumentatorMiddleware
from pydantic import SecretStr
from starlette.types import ASGIApp

from app.accounts.errors import Forbidden, Unauthenticated
from app.paths import Paths
from ingest.outcome import SmallResult, Way
from ingest.rejects import Reject
from ingest.report import Report

PATH = "/metrics"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
ROWS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


class Metrics:
    """The metrics of one app, in a registry of its own. `source` is the format events came in."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refreshes: list[Callable[[], None]] = []
        self.events = Counter(
            "events",
            "Events by what became of them: inserted, duplicate, rejected.",
            ["source", "outcome"],
            registry=self.registry,
        )
        self.processing = Histogram(
            "event_processing_seconds",
            "From the first byte of a request's body read to its answer, refused ones included.",
            ["source"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.inflight = Gauge(
            "inflight_jobs",
            "Requests whose events are being read or written.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.rejects = Counter(
            "event_rejects", "Rejected events by code.", ["code"], registry=self.registry
        )
        self.batches = Histogram(
            "event_batch_rows",
            "Rows of each batch written, by the way it took: insert, copy, staged.",
            ["way"],
            buckets=ROWS,
            registry=self.registry,
        )
        self.throttle = Counter(
            "throttle_decisions",
            "Charges by limit and what became of them: allowed, refused, and without Redis"
            " passed (keys) or closed (everybody else).",
            ["limit", "outcome"],
            registry=self.registry,
        )
        self.auth = Counter(
            "auth_outcomes",
            "What became of requests to sign in and the like, by action and outcome.",
            ["action", "outcome"],
            registry=self.registry,
        )

        self.expired = Counter(
            "expired_events",
            "Events removed because their project keeps them no longer, or is no more.",
            registry=self.registry,
        )
        self.expiry_failures = Counter(
            "expiry_failures", "Runs of that job that failed.", registry=self.registry
        )
        self.erased = Counter(
            "erased_events",
            "Events removed with those of their user, by an erasure.",
            registry=self.registry,
        )

    def instrument(
        self, app: FastAPI, *, paths: Paths, token: SecretStr | None, local: bool
    ) -> None:
        """Counts the app's requests, and answers GET /metrics to who has the token.

        Without a token that is nobody, or with `local` everybody.
        """

        async def admitted(request: Request) -> None:
            if token is not None:
                expected = f"Bearer {token.get_secret_value()}"
                given = request.headers.get("authorization", "")
                if not compare_digest(given.encode(), expected.encode()):
                    raise Unauthenticated("The metrics are shown to who sends METRICS_TOKEN.")
            elif not local:
                raise Forbidden("The metrics are shown to nobody until METRICS_TOKEN is set.")
            for refresh in self.refreshes:
                refresh()

        app.add_middleware(
            _Requests, paths=paths, excluded_handlers=[f"^{PATH}$"], registry=self.registry
        )
        Instrumentator(registry=self.registry).expose(
            app, endpoint=PATH, include_in_schema=False, dependencies=[Depends(admitted)]
        )

    @contextmanager
    def processed(self, source: str) -> Iterator[None]:
        """Times a block, which reads and writes the events of a request."""
        with self.inflight.track_inprogress(), self.processing.labels(source).time():
            yield

    def count_small(self, source: str, result: SmallResult) -> None:
        """Counts the events of a request that was answered id by id."""
        self._count(source, len(result.inserted), len(result.duplicates), len(result.rejects))
        self.count_rejects(result.rejects)

    def count_report(self, source: str, report: Report, before: Report) -> None:
        """Counts what a report has over an earlier one of the same load."""
        self._count(
            source,
            report.inserted - before.inserted,
            report.duplicates - before.duplicates,
            report.rejected - before.rejected,
        )

    def count_refused(self, source: str, rejected: int, rejects: Sequence[Reject]) -> None:
        """Counts the rejects of a request that was refused for them."""
        self._count(source, 0, 0, rejected)
        self.count_rejects(rejects)

    def count_rejects(self, rejects: Sequence[Reject]) -> None:
        """Counts rejects by their codes."""
        for reject in rejects:
            self.rejects.labels(reject.code.value).inc()

    def count_batch(self, way: Way, rows: int) -> None:
        """Counts a batch that was committed."""
        self.batches.labels(way.value).observe(rows)

    def _count(self, source: str, inserted: int, duplicates: int, rejected: int) -> None:
        for outcome, number in (
            ("inserted", inserted),
            ("duplicate", duplicates),
            ("rejected", rejected),
        ):
            if number:
                self.events.labels(source, outcome).inc(number)


class _Requests(PrometheusInstrumentatorMiddleware):
    """The instrumentator's middleware, which finds the label of a route by our paths.

    By itself it has every route of the app match the request, as the app then does once more: 4% of
    the server's time for a question.
    """

    def __init__(self, app: ASGIApp, /, *, paths: Paths, **named: Any) -> None:
        """Takes its paths, and what the instrumentator's takes."""
        super().__init__(app, **named)
        self._paths = paths

    def _get_handler(self, request: Request) -> tuple[str, bool]:
        path = request.scope["path"]
        template = self._paths.template(path)
        return template or path, template is not None
