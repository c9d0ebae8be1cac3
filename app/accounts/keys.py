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
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.events import ProjectId
from analytics.project import Project
from app.accounts.errors import KeyEnded, UnknownKey
from app.accounts.projects import project_of
from app.database.looks import Looks
from app.database.tables import api_keys

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


class Key(NamedTuple):
    """What there is to see of a key. Times in UTC.

    Attributes:
        prefix: its first characters.
        last_used_at: to about a minute, see `app.accounts.key_uses`.
    """

    id: int
    scope: Scope
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    def valid_at(self, instant: datetime) -> bool:
        """Whether the key lets in at this instant."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > instant)


class MadeKey(NamedTuple):
    """A key just made, and the secret itself, which is kept nowhere."""

    key: Key
    secret: str


RECORD = tuple(api_keys.c[name] for name in Key._fields)
HOLDERS: Final = """/* tidemark key holders */
select
    api_keys.key_hash, api_keys.id as key_id, api_keys.scope,
    projects.id, projects.name, projects.timezone, projects.week_start
from api_keys
join projects on projects.id = api_keys.project_id
where api_keys.key_hash = any($1::text[])
    and api_keys.revoked_at is null
    and (api_keys.expires_at is null or api_keys.expires_at > now())"""


async def create(
    connection: AsyncConnection,
    project_id: ProjectId,
    scope: Scope,
    lifetime: timedelta | None = None,
) -> MadeKey:
    """Makes a key, for ever or for a lifetime from now. Nothing can show its secret again."""
    secret = f"tmk_{scope}_{secrets.token_urlsafe(32)}"
    values = {
        "project_id": project_id,
        "scope": scope.value,
        "prefix": secret[:PREFIX_CHARACTERS],
        "key_hash": _hash(secret),
        "expires_at": None if lifetime is None else func.now() + lifetime,
    }
    made = insert(api_keys).values(values).returning(*RECORD)
    return MadeKey(_record((await connection.execute(made)).one()), secret)


async def of_project(connection: AsyncConnection, project_id: ProjectId) -> list[Key]:
    """All keys of a project, ended ones too, the oldest first."""
    found = select(*RECORD).where(api_keys.c.project_id == project_id).order_by(api_keys.c.id)
    return [_record(row) for row in await connection.execute(found)]


async def rotate(
    connection: AsyncConnection, project_id: ProjectId, key_id: int, grace: timedelta
) -> MadeKey:
    """Makes a key like an existing one, which ends after `grace`, or at once if that is nothing.

    The new key lives as long, from now, as the old one was made for.

    Raises:
        UnknownKey: The project has no such key.
        KeyEnded: It is revoked or expired already; what it let in must not come back by itself.
    """
    old = await _locked(connection, project_id, key_id)
    now = (await connection.execute(select(func.now()))).scalar_one()
    if not old.valid_at(now):
        raise KeyEnded(
            f"Key {key_id} ({old.prefix}…) is revoked or expired; make a new key instead."
        )
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    if grace > timedelta(0):
        ends = now + grace if old.expires_at is None else min(old.expires_at, now + grace)
        await _set(connection, key_id, expires_at=ends)
    else:
        await _set(connection, key_id, revoked_at=now)
    return await create(connection, project_id, old.scope, lifetime)


async def revoke(connection: AsyncConnection, project_id: ProjectId, key_id: int) -> None:
    """Ends a key at once, on every server: keys are looked up for every request.

    Once more changes nothing.

    Raises:
        UnknownKey: The project has no such key.
    """
    key = await _locked(connection, project_id, key_id)
    if key.revoked_at is None:
        await _set(connection, key_id, revoked_at=func.now())


async def _locked(connection: AsyncConnection, project_id: ProjectId, key_id: int) -> Key:
    row = (
        await connection.execute(
            select(*RECORD)
            .where(api_keys.c.project_id == project_id, api_keys.c.id == key_id)
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise UnknownKey(f"This project has no key {key_id}; `tidemark key list` shows its keys.")
    return _record(row)


async def _set(connection: AsyncConnection, key_id: int, **values: object) -> None:
    await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(values))


def _record(row: Row[*tuple[Any, ...]]) -> Key:
    key_id, scope, *others = row
    return Key(key_id, Scope(scope), *others)


async def key_holders(looks: Looks, keys: Sequence[str]) -> list[KeyHolder | None]:
    """Who each key lets in; None for one that is unknown, revoked or expired."""
    hashes = [_hash(key) for key in keys]
    rows = await looks.rows(HOLDERS, list(set(hashes)))
    found = {row.key_hash: KeyHolder(row.key_id, Scope(row.scope), project_of(row)) for row in rows}
    return [found.get(key_hash) for key_hash in hashes]


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
