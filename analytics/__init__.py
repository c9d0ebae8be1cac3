"""Questions about events and the engines that answer them: for the app and for notebooks.

A question (`analytics.questions`) is a frozen value with all its rules inside; an engine
(`analytics.engines`) runs SQL; an answer (`analytics.answer`) is rows in a stated order and the
facts about how they came about. `Analytics` is all of that in one hand, for scripts and notebooks.
Nothing here knows of HTTP, settings or environment variables: everything is handed in as values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics.client import Analytics

__all__ = ["Analytics"]


def __getattr__(name: str) -> object:
    """Load the client when it is first asked for: who imports a part needn't wait for the whole."""
    if name == "Analytics":
        from analytics.client import Analytics  # noqa: PLC0415 - what this function is for

        return Analytics
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
