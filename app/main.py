"""The API as an ASGI application."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from app import problems
from app.accounts.errors import BenchmarkExposed
from app.cors import add_cors
from app.draining import Closing, Drain
from app.edge import DOCUMENTATION, BodyGuard, Crashes, Edge
from app.lifespan import lifespan
from app.observability import Metrics
from app.paths import Paths
from app.request_log import RequestLog
from app.routes import auth, deletions, erasure, events, health, invitations, keys, projects, stats
from app.settings import Settings


def create_app(settings: Settings, *, local: bool = False) -> FastAPI:
    """The application for these settings, which must name the servers.

    Nothing connects before it is started. `local` says that the servers are Tidemark's own, and
    that only their machine is listened to: the documentation and metrics are then open to all.

    Raises:
        BenchmarkExposed: The settings have a token that passes without a login, and not `local`.
    """
    if settings.benchmark_token is not None and not local:
        raise BenchmarkExposed
    metrics = Metrics()
    app = FastAPI(
        title="Tidemark",
        summary="Product analytics: Postgres holds the events, DuckDB answers the questions.",
        version=version("tidemark"),
        lifespan=lifespan(settings, metrics),
        # A redirect would let any path into the metrics' labels, and clients lose their body on the
        # way.
        redirect_slashes=False,
        # The page loads its scripts from a CDN, and both tell strangers what there is to try.
        docs_url=DOCUMENTATION if local else None,
        openapi_url="/openapi.json" if local else None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    paths = app.state.paths = Paths(app)
    drain = app.state.drain = Drain()
    problems.install(app)
    # The last one added is the first to see a request.
    app.add_middleware(Crashes)
    app.add_middleware(
        BodyGuard,
        patience=settings.body_timeout.total_seconds(),
        own_limits=f"{settings.api_prefix}{events.router.prefix}",
    )
    metrics.instrument(app, paths=paths, token=settings.metrics_token, local=local)
    add_cors(app, settings.cors_origins, credentials=settings.cors_credentials)
    app.add_middleware(Edge, paths=paths)
    app.add_middleware(Closing, drain=drain)
    app.add_middleware(RequestLog, paths=paths, lines=settings.access_log)
    # A request, its line and its metrics try routes in this order: the busiest come first.
    for topic in (stats, events, auth, projects, deletions, invitations, keys, erasure):
        app.include_router(topic.router, prefix=settings.api_prefix)
    app.include_router(health.router)
    return app
