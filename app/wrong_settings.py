"""All that is wrong about the settings as one list: names, where each was read, what is allowed."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from app.secret_files import is_secret
from app.settings import Settings

_BOUNDS = {
    Ge: ("ge", "at least {}"),
    Gt: ("gt", "more than {}"),
    Le: ("le", "at most {}"),
    MinLen: ("min_length", "at least {} characters"),
}


def message(error: ValidationError) -> str:
    """One line that names every setting which can't be used; secrets are never shown."""
    wrong = [_wrong(entry) for entry in error.errors()]
    counted = "; ".join(f"({number}) {each}" for number, each in enumerate(wrong, 1))
    return f"Settings can't be used: {counted}"


def _wrong(entry: ErrorDetails) -> str:
    name = ".".join(map(str, entry["loc"]))
    field = Settings.model_fields.get(name)
    if field is None:  # it is about several together
        return entry["msg"]
    value = "" if is_secret(field) else f"={entry['input']!r}"
    allowed = _allowed(field)
    return (
        f"{name.upper()}{value} ({_source(name.upper(), field)}): {entry['msg']}"
        f"{f'; allowed: {allowed}' if allowed else ''}"
    )


def _source(name: str, field: FieldInfo) -> str:
    """Where a setting was read."""
    path = os.environ.get(f"{name}_FILE") if is_secret(field) else None
    return "from the environment" if path is None else f"from {name}_FILE={path}"


def _allowed(field: FieldInfo) -> str:
    bounds: list[str] = []
    for each in field.metadata:
        attribute, words = _BOUNDS.get(type(each), ("", ""))
        if attribute:
            bounds.append(words.format(getattr(each, attribute)))
    return ", ".join(bounds) or ", ".join(_choices(field.annotation))


def _choices(annotation: Any) -> list[str]:
    """The values of an enumeration or a Literal, also of one that may be unset."""
    if isinstance(annotation, type):
        if issubclass(annotation, StrEnum):
            return list(annotation)
        return ["true", "false"] if annotation is bool else []
    return [
        choice
        for each in get_args(annotation)
        for choice in ([each] if isinstance(each, str) else _choices(each))
    ]
