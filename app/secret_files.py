"""Secrets in files: for every secret setting NAME, the variable NAME_FILE may name a file with it.

That is how containers are handed secrets, and what keeps them out of the process's environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource


@dataclass(frozen=True, slots=True)
class NoSecret:
    """Stands for a secret that can't be had, so that it is named among all that is wrong."""

    why: str


class SecretFiles(PydanticBaseSettingsSource):
    """Reads the files that variables ending in _FILE name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The file's text without the line's end, the field's name, and that it is no JSON.

        `NoSecret` instead of the text where the file can't be read or is empty, or the secret is
        given twice.
        """
        name = field_name.upper()
        path = os.environ.get(f"{name}_FILE")
        if path is None or not is_secret(field):
            return None, field_name, False
        if os.environ.get(name) is not None:
            return NoSecret(f"{name} and {name}_FILE are both set; keep one"), field_name, False
        try:
            text = Path(path).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            return NoSecret(f"the file can't be read: {why}"), field_name, False
        if not text:
            return NoSecret("the file is empty; it must hold the secret"), field_name, False
        return text, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The secrets found."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting's value must not be shown."""
    return SecretStr in (field.annotation, *get_args(field.annotation))
