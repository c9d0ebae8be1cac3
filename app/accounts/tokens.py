"""Signed tokens: a short access token for each request, a refresh token for the next pair.

Both are JWTs (HS256) and name the user, the session and the user's generation. A signature only
says that Tidemark made a token; whether its session goes on is asked of Redis and Postgres
(app.accounts.authentication). Refusals are by session, never by a token's text: the same token has
several spellings.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import jwt

from app.accounts.errors import Unauthenticated

ALGORITHM: Final = "HS256"
NAME: Final = "tidemark"
_REQUIRED: Final = ["iss", "aud", "sub", "sid", "gen", "jti", "typ", "iat", "exp"]
_LEEWAY: Final = timedelta(seconds=5)
"""What the clocks of several servers may differ by."""


class TokenType(StrEnum):
    """What a token is for; neither passes as the other."""

    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Attributes:
        user_id: whose it is.
        session_id: the session it belongs to: one login, and all that was refreshed from it.
        generation: the user's `token_version` at the login; a later one ends the session.
        token_id: of this token alone.
    """

    user_id: int
    session_id: str
    generation: int
    token_id: str


class Signer:
    """Makes and reads tokens with one secret."""

    def __init__(self, secret: str) -> None:
        """Takes a secret of at least 32 bytes.

        Raises:
            jwt.InvalidKeyError: It is shorter.
        """
        self._jwt = jwt.PyJWT(options={"enforce_minimum_key_length": True})
        self._secret = secret
        self.issue(TokenType.ACCESS, Claims(0, "", 0, ""), timedelta(0))

    def issue(self, kind: TokenType, claims: Claims, ttl: timedelta) -> str:
        """A token that is valid for `ttl` from now."""
        now = datetime.now(UTC)
        payload = {
            "iss": NAME,
            "aud": NAME,
            "sub": str(claims.user_id),
            "sid": claims.session_id,
            "gen": claims.generation,
            "jti": claims.token_id,
            "typ": kind.value,
            "iat": now,
            "exp": now + ttl,
        }
        return self._jwt.encode(payload, self._secret, ALGORITHM)

    def read(self, kind: TokenType, token: str) -> Claims:
        """What a token of ours says.

        Raises:
            Unauthenticated: It is no valid token of this kind. What is wrong with it isn't told,
                except that it has expired.
        """
        try:
            payload = self._jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=NAME,
                issuer=NAME,
                leeway=_LEEWAY,
                options={"require": _REQUIRED, "strict_aud": True},
            )
            if payload["typ"] != kind.value:
                raise Unauthenticated(f"This is no {kind} token.")
            return Claims(
                int(payload["sub"]), str(payload["sid"]), int(payload["gen"]), str(payload["jti"])
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(f"The {kind} token has expired.") from error
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise Unauthenticated(f"This is no valid {kind} token.") from error


def new_id() -> str:
    """128 random bits, for sessions and tokens."""
    return secrets.token_urlsafe(16)
