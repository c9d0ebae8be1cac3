"""Registration: who may make an account, and what a new user may see."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.calendar import WeekStart
from analytics.events import ProjectId
from app.accounts import invitations, members, projects, users
from app.accounts.access import Role
from app.accounts.errors import InvalidInvitation, InvitationNeeded, RegistrationClosed
from app.accounts.users import User
from app.database import tables
from app.settings import Registration

FIRST_PROJECT: Final = "main"
_FIRST_LOCK: Final = 0x66697273
"""Any constant: of several first users only one is the first."""


async def admit(connection: AsyncConnection, policy: Registration, invitation: str | None) -> None:
    """See to it that somebody may register.

    Raises:
        RegistrationClosed, InvitationNeeded: They may not.
        InvalidInvitation: The invitation can't be accepted (any more).
    """
    if policy is Registration.CLOSED:
        raise RegistrationClosed
    if policy is Registration.INVITE and invitation is None:
        raise InvitationNeeded
    if invitation is not None and not await invitations.is_open(connection, invitation):
        raise InvalidInvitation


async def register(
    connection: AsyncConnection, email: str, password_hash: str, invitation: str | None = None
) -> User:
    """Makes an account for a normalised address, and lets it into the invitation's project.

    The very first user becomes the owner of the first project, which is made if there is none.

    Raises:
        EmailTaken: The address has an account.
        InvalidInvitation: The invitation can't be accepted (any more).
    """
    await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _FIRST_LOCK})
    first = (await connection.execute(select(tables.users.c.id).limit(1))).first() is None
    user = await users.create(connection, email, password_hash)
    if invitation is not None:
        await invitations.accept(connection, invitation, user.id)
    elif first:
        await members.add(connection, await _first_project(connection), user.id, Role.OWNER)
    return user


async def _first_project(connection: AsyncConnection) -> ProjectId:
    ids = select(tables.projects.c.id).order_by(tables.projects.c.id).limit(1)
    found = (await connection.execute(ids)).scalar_one_or_none()
    if found is not None:
        return ProjectId(found)
    return (await projects.create(connection, FIRST_PROJECT, "UTC", WeekStart.MONDAY)).id
