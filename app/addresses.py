"""Addresses that are settings: servers' URLs, whose passwords are never shown, and proxies."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

POSTGRES: Final = ("postgresql", "postgres")
REDIS: Final = ("redis", "rediss", "unix")
EVERYBODY: Final = "*"


def require_scheme(given: SecretStr, schemes: tuple[str, ...]) -> SecretStr:
    """The address, if it is a URL with one of these schemes.

    Raises:
        PydanticCustomError: It isn't; the message shows nothing of it.
    """
    try:
        found = urlsplit(given.get_secret_value())
        _ = found.port
    except ValueError as error:
        raise _wrong("it is no URL: host or port can't be read") from error
    if found.scheme not in schemes:
        raise _wrong(f"the address doesn't begin with {schemes[0]}://")
    return given


def require_networks(given: str) -> str:
    """The list of addresses and networks with commas between them, if each is one; `*` is all.

    Raises:
        PydanticCustomError: One isn't. uvicorn would pass it over without a word.
    """
    for each in filter(None, map(str.strip, given.split(","))):
        try:
            if each != EVERYBODY:
                ip_network(each)
        except ValueError as error:
            raise _wrong(
                f"{error}; name addresses and networks with commas between them, or *"
            ) from error
    return given


def _wrong(says: str) -> PydanticCustomError:
    return PydanticCustomError("address", "{says}", {"says": says})
