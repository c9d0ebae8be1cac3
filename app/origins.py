"""CORS_ORIGINS as people write it: `*`, a list with commas, or a JSON list."""

from __future__ import annotations

import json
import re
from typing import Any, Final

ANY: Final = "*"
NULL: Final = "null"
_ORIGIN: Final = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")


def origins_of(given: Any) -> tuple[str, ...]:
    """The origins that CORS_ORIGINS names: `*`, a list with commas, or a JSON list.

    Raises:
        ValueError: One of them is no origin; the message says what one looks like.
    """
    if isinstance(given, str):
        given = _listed(given)
    if not isinstance(given, (list, tuple)):
        # pydantic makes a refusal of the setting of this, not of a TypeError.
        raise ValueError(  # noqa: TRY004
            "give *, origins with commas between them, or a JSON list of them"
        )
    return tuple(dict.fromkeys(map(_origin, given)))


def _listed(text: str) -> Any:
    if not text.lstrip().startswith("["):
        return [each.strip() for each in text.split(",") if each.strip()]
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"begins like a JSON list and is none: {error}") from error


def _origin(given: Any) -> str:
    origin = given.strip().rstrip("/").lower() if isinstance(given, str) else ""
    if origin not in {ANY, NULL} and not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{given!r} is no origin; give scheme, host and port alone, like"
            " https://app.example.com or http://localhost:3000"
        )
    return origin
