"""Passwords: what they may be, and their argon2id hashes.

Hashing is slow on purpose, in time and in memory, so it is done in threads, few at once. An unknown
user costs what a wrong password does.
"""

from __future__ import annotations

import secrets
import unicodedata
from typing import Final, NamedTuple

from passlib.context import CryptContext

from app.accounts.errors import InvalidPassword
from app.turns import Turns

LEAST_CHARACTERS: Final = 12
MOST_CHARACTERS: Final = 256


class Cost(NamedTuple):
    """What one hash takes. The default is three times OWASP's least, and takes 50 to 150 ms."""

    memory_kib: int = 64 * 1024
    rounds: int = 2


class Verdict(NamedTuple):
    """Whether a password is right, and its hash at today's cost if the one kept is cheaper."""

    right: bool
    new_hash: str | None = None


class Passwords:
    """Hashes and checks passwords; one for the serving process."""

    def __init__(self, turns: Turns, cost: Cost = Cost()) -> None:  # noqa: B008 - immutable
        """Takes where threads come from: each at work holds the memory of one hash."""
        self._turns = turns
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=cost.memory_kib,
            argon2__time_cost=cost.rounds,
            argon2__parallelism=1,
        )
        self._nobodys = self._context.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The hash to keep of a new password.

        Raises:
            InvalidPassword: It is too short or too long.
            Busy: Too many are being hashed already.
        """
        normal = _normalised(password)
        if not LEAST_CHARACTERS <= len(normal) <= MOST_CHARACTERS:
            raise InvalidPassword(
                f"A password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters; this one has"
                f" {len(normal)}.",
                field="password",
            )
        made: str = await self._turns.run(self._context.hash, normal)
        return made

    async def check(self, password: str, kept: str | None) -> Verdict:
        """Whether a password belongs to the hash that is kept; None, of an unknown user, never is.

        Raises:
            Busy: Too many are being checked already.
        """
        normal = _normalised(password)
        possible = kept is not None and len(normal) <= MOST_CHARACTERS
        against = kept if possible else self._nobodys
        right, new_hash = await self._turns.run(
            self._context.verify_and_update, normal[:MOST_CHARACTERS], against
        )
        return Verdict(right and possible, new_hash if possible else None)


def _normalised(password: str) -> str:
    """One spelling of what looks the same, whatever the keyboard: Unicode's form KC."""
    return unicodedata.normalize("NFKC", password)
