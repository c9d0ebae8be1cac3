"""Packages that only some results need: imported when they do, with an error that helps."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from analytics.errors import MissingPackage


def package(module: str, install: str, purpose: str) -> Any:
    """The imported module; `install` is what pip calls the package.

    Raises:
        MissingPackage: it isn't installed; the message says how to.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module:
            raise  # it is there, and lacks a package of its own
        raise MissingPackage(
            f"{purpose} needs {install}, which is not installed; "
            f"pip install {install}, or all that results can use: pip install 'tidemark[notebook]'"
        ) from error
