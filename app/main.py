"""The API as an ASGI application."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from app import problems
from app.lifespan import lifespan
from app.observability import Metrics
from app.routes import auth, events, health, invitations, projects, stats
from app.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings, which must name the servers.

    Nothing connects before it is started.
    """
    metrics = Metrics()
    app = FastAPI(
        title="Tidemark",
        summary="Product analytics: Postgres holds the events, DuckDB answers the questions.",
        version=version("tidemark"),
        lifespan=lifespan(settings, metrics),
        # A redirect would let any path into the metrics' labels, and clients lose their body on the
        # way.
        redirect_slashes=False,
    )
    problems.install(app)
    metrics.instrument(app)
    app.include_router(health.router)
    for topic in (auth, projects, invitations, events, stats):
        app.include_router(topic.router, prefix=settings.api_prefix)
    return app
