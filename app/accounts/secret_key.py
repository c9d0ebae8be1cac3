"""The secret that tokens are signed with: given outside local mode, made once in it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import Final

from analytics.errors import Terminal
from app.local.home import Home, write_private
from app.settings import Settings

LEAST_BYTES: Final = 32
_LEAST_CHARACTERS: Final = 10
"""Different ones: a random secret of this length has more, a word repeated has fewer."""
_PLACEHOLDERS: Final = ("change", "secret", "example", "placeholder", "password", "your-")
_HOW: Final = "make one by `openssl rand -base64 32`, and set it as SECRET_KEY or SECRET_KEY_FILE"


class UnsafeSecretKey(Terminal):
    """Tokens need a secret to be signed with: set SECRET_KEY to at least 32 random bytes."""

    code = "unsafe_secret_key"


def secret_key(settings: Settings) -> str:
    """The secret of the settings.

    Raises:
        UnsafeSecretKey: It is missing, short, or a placeholder. The message doesn't show it.
    """
    given = settings.secret_key.get_secret_value() if settings.secret_key is not None else ""
    if not given:
        raise UnsafeSecretKey(f"SECRET_KEY is not set, so tokens can't be signed; {_HOW}.")
    if len(given.encode()) < LEAST_BYTES:
        raise UnsafeSecretKey(
            f"SECRET_KEY has {len(given.encode())} bytes; tokens are signed with {LEAST_BYTES} or"
            f" more; {_HOW}."
        )
    word = next((word for word in _PLACEHOLDERS if word in given.lower()), None)
    if word is not None or len(set(given)) < _LEAST_CHARACTERS:
        looks = f'has the word "{word}" in it' if word is not None else "repeats few characters"
        raise UnsafeSecretKey(f"SECRET_KEY {looks}, like one to be replaced; {_HOW}.")
    return given


def local_secret_key(home: Home) -> str:
    """The secret kept in the data directory, made by whoever needs it first."""
    home.claim()
    if not home.secret_key.exists():
        draft = home.secret_key.with_name(f"secret_key.{os.getpid()}.new")
        write_private(draft, secrets.token_urlsafe(48))
        # A link is refused where another process was faster: then its secret holds.
        with suppress(FileExistsError):
            os.link(draft, home.secret_key)
        draft.unlink()
    return home.secret_key.read_text()
