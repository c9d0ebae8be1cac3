"""API keys: made once, shown once, kept as a hash.

A key reads `tmk_<scope>_<43 random characters>`: 256 random bits, so one SHA-256 is enough of a
hash, and a look-up by that hash leaks nothing through its timing. The first characters are kept in
clear, for people to tell keys apart.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import bindparam, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.events import ProjectId
from analytics.project import Project
from app.accounts.projects import COLUMNS, project_of
from app.database.tables import api_keys, projects

PREFIX_CHARACTERS = 16


class Scope(StrEnum):
    """What a key allows: `ingest` writes events, `read` asks questions.

    Neither allows the other.
    """

    INGEST = "ingest"
    READ = "read"


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who a valid key lets in: everything the caller sees is this project's."""

    key_id: int
    scope: Scope
    project: Project


HOLDER = (
    select(api_keys.c.id.label("key_id"), api_keys.c.scope, *COLUMNS)
    .join(projects, projects.c.id == api_keys.c.project_id)
    .where(
        api_keys.c.key_hash == bindparam("key_hash"),
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
    )
)


async def create(connection: AsyncConnection, project_id: ProjectId, scope: Scope) -> str:
    """Makes a key and returns it; nothing can show it again."""
    key = f"tmk_{scope}_{secrets.token_urlsafe(32)}"
    await connection.execute(
        insert(api_keys).values(
            project_id=project_id,
            scope=scope.value,
            prefix=key[:PREFIX_CHARACTERS],
            key_hash=_hash(key),
        )
    )
    return key


async def holder(connection: AsyncConnection, key: str) -> KeyHolder | None:
    """Who `key` lets in; None for a key that is unknown, revoked or expired."""
    row = (await connection.execute(HOLDER, {"key_hash": _hash(key)})).one_or_none()
    return KeyHolder(row.key_id, Scope(row.scope), project_of(row)) if row is not None else None


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
