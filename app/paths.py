"""What the routes of an app say of a path: its template, and every method it can be asked for.

Starlette's own 405 names the methods of the first route with the path, where others have it too,
and FastAPI leaves a route without its router's prefix in the scope.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts


class _Route(NamedTuple):
    pattern: re.Pattern[str]
    template: str
    methods: frozenset[str]


class Paths:
    """The paths of an app; its routes are looked at when the first one is asked about."""

    def __init__(self, app: FastAPI) -> None:
        """Takes the app."""
        self._app = app

    def template(self, path: str) -> str | None:
        """The path as routes write it, `/projects/{project_id}`; None if it is none."""
        return next((route.template for route in self._routes if route.pattern.match(path)), None)

    def methods(self, path: str) -> list[str]:
        """Every method, in order, HEAD and OPTIONS included; none if there is no such path."""
        routes = (route for route in self._routes if route.pattern.match(path))
        found = frozenset[str]().union(*(route.methods for route in routes))
        if not found:
            return []
        return sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set()))

    @cached_property
    def _routes(self) -> list[_Route]:
        found = []
        for context in iter_route_contexts(self._app.routes):
            pattern = getattr(context, "path_regex", None)
            if isinstance(pattern, re.Pattern) and context.path is not None:
                found.append(_Route(pattern, context.path, frozenset(context.methods or ())))
        return found
