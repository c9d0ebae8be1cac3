"""API keys: made once, shown once, kept as a hash.

A key reads `tmk_<scope>_<43 random characters>`: 256 random bits, so one SHA-256 is enough of a
hash, and a look-up by that hash leaks nothing through its timing. The first characters are kept in
clear, for people to tell keys apart.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ARRAY, Text, any_, bindparam, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from analytics.events import ProjectId
from analytics.project import Project
from app.accounts.projects import COLUMNS, project_of
from app.database.pools import transaction
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


HOLDERS = (
    select(api_keys.c.key_hash, api_keys.c.id.label("key_id"), api_keys.c.scope, *COLUMNS)
    .join(projects, projects.c.id == api_keys.c.project_id)
    .where(
        api_keys.c.key_hash == any_(bindparam("key_hashes", type_=ARRAY(Text))),
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


async def key_holders(engine: AsyncEngine, keys: Sequence[str]) -> list[KeyHolder | None]:
    """Who each key lets in; None for one that is unknown, revoked or expired."""
    hashes = [_hash(key) for key in keys]
    async with transaction(engine) as connection:
        rows = (await connection.execute(HOLDERS, {"key_hashes": list(set(hashes))})).all()
    found = {row.key_hash: KeyHolder(row.key_id, Scope(row.scope), project_of(row)) for row in rows}
    return [found.get(key_hash) for key_hash in hashes]


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
