"""Which tokens are taken, and which forged, stale or misused ones are not."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from app.accounts.errors import Unauthenticated
from app.accounts.tokens import Claims, Signer, TokenType, new_id

SECRET = "an unguessable text of more than 32 bytes"
CLAIMS = Claims(7, "session", 3, "token")
MINUTE = timedelta(minutes=1)
SIGNER = Signer(SECRET)


def payload(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    whole = {
        "iss": "tidemark",
        "aud": "tidemark",
        "sub": "7",
        "sid": "session",
        "gen": 3,
        "jti": "token",
        "typ": "access",
        "iat": now,
        "exp": now + MINUTE,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def forged(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(payload(**changes), secret, algorithm)


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, payload(iat=0, exp=2**32))
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(part.decode().rstrip("=") for part in encoded) + "."


@pytest.mark.parametrize("kind", TokenType)
def test_a_token_says_what_was_put_into_it(kind: TokenType) -> None:
    assert SIGNER.read(kind, SIGNER.issue(kind, CLAIMS, MINUTE)) == CLAIMS


def test_the_forgery_of_the_other_tests_would_pass_if_nothing_were_wrong_with_it() -> None:
    assert SIGNER.read(TokenType.ACCESS, forged()) == CLAIMS


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b.c",
        "é.ü.ß",
        "\0",
        "x" * 100_000,
        unsigned(),
        forged(algorithm="HS512", secret=SECRET * 2),
        forged(secret="another unguessable text of 32 bytes"),
        forged(exp=NOW - timedelta(seconds=6)),
        forged(iat=NOW + MINUTE),
        forged(nbf=NOW + MINUTE),
        forged(aud="another"),
        forged(aud=["tidemark", "another"]),
        forged(iss="another"),
        forged(typ="refresh"),
        forged(typ=None),
        forged(sub=None),
        forged(sid=None),
        forged(gen=None),
        forged(jti=None),
        forged(exp=None),
        forged(iat=None),
        forged(sub="seven"),
        forged(gen=[]),
        forged()[:-4] + "AAAA",
    ],
    ids=lambda token: token[:8],
)
def test_a_token_that_is_not_ours_for_this_now_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        SIGNER.read(TokenType.ACCESS, token)


def test_an_access_token_does_not_refresh() -> None:
    with pytest.raises(Unauthenticated, match="no refresh token"):
        SIGNER.read(TokenType.REFRESH, SIGNER.issue(TokenType.ACCESS, CLAIMS, MINUTE))


def test_a_short_secret_signs_nothing() -> None:
    with pytest.raises(jwt.InvalidKeyError):
        Signer("x" * 31)


def test_ids_differ() -> None:
    assert len({new_id() for _ in range(100)}) == 100
