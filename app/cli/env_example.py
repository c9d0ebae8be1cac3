""".env.example, written from the settings themselves by `make docs`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from typing import Final

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from app.secret_files import is_secret
from app.settings import Settings

_HEAD: Final = """\
# Every setting of Tidemark with its default; written by `make docs` from app/settings.py.
#
# Servers read their environment, not this file. Docker Compose hands a copy of it named .env to the
# container `api`, which gets its secrets and the addresses of its servers from docker-compose.yml.
#
# Compose itself takes from .env:
#API_ADDRESS=127.0.0.1:8000
#API_MEMORY=3g
#DB_MEMORY=2g
#REDIS_KEYS=128mb
#REDIS_MEMORY=256m
#TIDEMARK_VERSION=local
"""


def example() -> str:
    """The file's text."""
    return _HEAD + "".join(
        line for name, field in Settings.model_fields.items() for line in _lines(name, field)
    )


def _lines(name: str, field: FieldInfo) -> Iterator[str]:
    yield "\n"
    for line in textwrap.wrap(field.description or "", 98):
        yield f"# {line}\n"
    if is_secret(field):
        yield f"#{name.upper()}_FILE=\n"
    yield f"#{name.upper()}={_default(field)}\n"


def _default(field: FieldInfo) -> str:
    match field.default:
        case None | ():
            return ""
        case bool(value):
            return str(value).lower()
        case timedelta() as value:
            return str(TypeAdapter(timedelta).dump_python(value, mode="json"))
        case Enum() as value:
            return str(value.value)
        case value:
            return str(value)


if __name__ == "__main__":
    sys.stdout.write(example())
