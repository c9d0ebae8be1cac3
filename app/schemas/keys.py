"""Bodies and answers of /projects/{project_id}/keys. Times in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from app.accounts.keys import Key, MadeKey, Scope
from app.schemas.examples import BEGAN, ENDS, SHORTENED, shown

_KEY: Final[dict[str, Any]] = {
    "id": 7,
    "scope": "read",
    "prefix": "tm_read_hVq3",
    "created_at": BEGAN,
    "last_used_at": BEGAN,
    "expires_at": ENDS,
    "revoked_at": ENDS,
}

MOST_DAYS = 3650
MOST_GRACE_HOURS = 30 * 24


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid") | shown({"scope": "ingest", "valid_days": 90})

    scope: Scope = Field(description="ingest writes events, read asks questions.")
    valid_days: int | None = Field(
        default=None,
        ge=1,
        le=MOST_DAYS,
        description="How many days it lives; null, for ever.",
        examples=[90],
    )


class Rotation(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid") | shown({"grace_hours": 24})

    grace_hours: int = Field(
        ge=0,
        le=MOST_GRACE_HOURS,
        description="How many hours the old key goes on working; 0 ends it at once.",
        examples=[24],
    )


class KeyAnswer(BaseModel):
    """A key, without its secret."""

    model_config = shown(_KEY)

    id: int
    scope: Scope
    prefix: str = Field(description="Its first characters, to tell keys apart.")
    created_at: datetime
    last_used_at: datetime | None = Field(description="To about a minute; null, never.")
    expires_at: datetime | None = Field(description="Null, never.")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: Key) -> KeyAnswer:
        """The answer for a key."""
        return cls(**key._asdict())


class MadeKeyAnswer(KeyAnswer):
    """A key just made, with its secret, which nothing can show again."""

    model_config = shown(_KEY | {"key": SHORTENED})

    key: str = Field(description="Goes into `Authorization: Bearer KEY`.")

    @classmethod
    def made(cls, made: MadeKey) -> MadeKeyAnswer:
        """The answer for a key just made."""
        return cls(**made.key._asdict(), key=made.secret)
