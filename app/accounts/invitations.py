"""Invitations: a secret that lets whoever has it into a project, once, for some days.

The secret goes into a link; Tidemark keeps only its hash, and sends nothing itself.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.events import ProjectId
from app.accounts import members
from app.accounts.access import Role
from app.accounts.errors import InvalidInvitation, UnknownInvitation
from app.accounts.projects import COLUMNS, project_of
from app.accounts.standing import Membership
from app.database.tables import invitations, projects

PREFIX: Final = "tmi_"
VALID_DAYS: Final = 7
MOST_VALID_DAYS: Final = 90

_COLUMNS = (
    invitations.c.id,
    invitations.c.role,
    invitations.c.created_at,
    invitations.c.expires_at,
)


class Invitation(NamedTuple):
    """An open invitation. Times in UTC."""

    id: int
    role: Role
    created_at: datetime
    expires_at: datetime


async def create(
    connection: AsyncConnection,
    project_id: ProjectId,
    role: Role,
    valid: timedelta,
    invited_by: int | None = None,
) -> tuple[Invitation, str]:
    """Makes an invitation, and returns it with its secret, which nothing can show again."""
    secret = PREFIX + secrets.token_urlsafe(32)
    values = {
        "project_id": project_id,
        "role": role.value,
        "token_hash": _hash(secret),
        "invited_by": invited_by,
        "expires_at": func.now() + valid,
    }
    statement = insert(invitations).values(values).returning(*_COLUMNS)
    return _invitation((await connection.execute(statement)).one()), secret


async def of_project(connection: AsyncConnection, project_id: ProjectId) -> list[Invitation]:
    """The invitations that can still be accepted, oldest first."""
    statement = (
        select(*_COLUMNS)
        .where(invitations.c.project_id == project_id, invitations.c.expires_at > func.now())
        .order_by(invitations.c.id)
    )
    return [_invitation(row) for row in await connection.execute(statement)]


async def withdraw(connection: AsyncConnection, project_id: ProjectId, invitation_id: int) -> None:
    """Takes an invitation back.

    Raises:
        UnknownInvitation: The project has none with this id.
    """
    statement = delete(invitations).where(
        invitations.c.project_id == project_id, invitations.c.id == invitation_id
    )
    if (await connection.execute(statement)).rowcount == 0:
        raise UnknownInvitation


async def is_open(connection: AsyncConnection, secret: str) -> bool:
    """Whether an invitation can be accepted now."""
    statement = select(invitations.c.id).where(
        invitations.c.token_hash == _hash(secret), invitations.c.expires_at > func.now()
    )
    return (await connection.execute(statement)).first() is not None


async def accept(connection: AsyncConnection, secret: str, user_id: int) -> Membership:
    """Lets a user into the project of an invitation, which is used up by it.

    Raises:
        InvalidInvitation: It can't be accepted (any more).
        AlreadyMember: They are in the project; the invitation stays open, for somebody else.
    """
    used = (
        delete(invitations)
        .where(invitations.c.token_hash == _hash(secret), invitations.c.expires_at > func.now())
        .returning(invitations.c.project_id, invitations.c.role)
    )
    found = (await connection.execute(used)).one_or_none()
    if found is None:
        raise InvalidInvitation
    role = Role(found.role)
    await members.add(connection, ProjectId(found.project_id), user_id, role)
    statement = select(*COLUMNS).where(projects.c.id == found.project_id)
    return Membership(project_of((await connection.execute(statement)).one()), role)


def _invitation(row: Row[*tuple[Any, ...]]) -> Invitation:
    return Invitation(row.id, Role(row.role), row.created_at, row.expires_at)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
