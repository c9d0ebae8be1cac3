"""Examples for the OpenAPI page: a model says `model_config = shown({"id": 3})`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict

BEGAN: Final = "2026-03-01T09:30:00Z"
ENDS: Final = "2026-03-31T09:30:00Z"
UUID_TEXT: Final = "6b1f5f0e-6c0a-4d7e-9d3e-0b6f2b3c4d5e"
SHORTENED: Final = "hVq3…"


def shown(example: Mapping[str, Any]) -> ConfigDict:
    """The part of a model's configuration that shows one of it; subclasses show their own."""
    return ConfigDict(json_schema_extra={"example": dict(example)})
