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
from app.settings import CONTRADICTION, Settings

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
    names = [str(name) for name in entry["loc"]]
    if entry["type"] == CONTRADICTION:
        found = [f"{name.upper()} {source}" for name in names if (source := _source(name))]
        return f"{entry['msg']} ({', '.join(found)})" if found else entry["msg"]
    field = Settings.model_fields[names[0]]
    name = names[0].upper()
    value = "" if is_secret(field) else f"={entry['input']!r}"
    source = _source(names[0]) or "from the command line"
    allowed = _allowed(field)
    return f"{name}{value} ({source}): {entry['msg']}{f'; allowed: {allowed}' if allowed else ''}"


def _source(name: str) -> str | None:
    """Where a setting was read; None where nothing names it."""
    variable = name.upper()
    path = os.environ.get(f"{variable}_FILE") if is_secret(Settings.model_fields[name]) else None
    if path is not None:
        return f"from {variable}_FILE={path}"
    given = {each.upper() for each in os.environ}
    return "from the environment" if variable in given else None


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
