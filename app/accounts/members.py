"""Members: which users belong to a project, and as what. A project always keeps an owner."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from analytics.events import ProjectId
from app.accounts.access import Role
from app.accounts.errors import AlreadyMember, LastOwner, UnknownMember
from app.accounts.projects import COLUMNS, project_of
from app.accounts.standing import Membership
from app.database.tables import members, projects, users


class Member(NamedTuple):
    """A user in a project."""

    user_id: int
    email: str
    role: Role


async def add(connection: AsyncConnection, project_id: ProjectId, user_id: int, role: Role) -> None:
    """Lets a user into a project.

    Raises:
        AlreadyMember: They are in it.
    """
    values = {"project_id": project_id, "user_id": user_id, "role": role.value}
    try:
        async with connection.begin_nested():
            await connection.execute(insert(members).values(values))
    except IntegrityError as error:
        raise AlreadyMember from error


async def put(connection: AsyncConnection, project_id: ProjectId, user_id: int, role: Role) -> None:
    """Lets a user into a project, or gives them the role if they are in it."""
    values = {"project_id": project_id, "user_id": user_id, "role": role.value}
    statement = upsert(members).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=("project_id", "user_id"), set_={"role": role.value}
    )
    await connection.execute(statement)


async def has_owner(connection: AsyncConnection, project_id: ProjectId) -> bool:
    """Whether a project has an owner; deleting a user may have taken the last one."""
    return await _owners(connection, project_id, but=None) > 0


async def of_project(connection: AsyncConnection, project_id: ProjectId) -> list[Member]:
    """Everybody in a project, by e-mail address."""
    statement = (
        select(members.c.user_id, users.c.email, members.c.role)
        .join(users, users.c.id == members.c.user_id)
        .where(members.c.project_id == project_id)
        .order_by(users.c.email)
    )
    rows = await connection.execute(statement)
    return [Member(row.user_id, row.email, Role(row.role)) for row in rows]


async def of_user(connection: AsyncConnection, user_id: int) -> list[Membership]:
    """Every project that a user belongs to, in the order they were made."""
    statement = (
        select(members.c.role, *COLUMNS)
        .join(projects, projects.c.id == members.c.project_id)
        .where(members.c.user_id == user_id)
        .order_by(projects.c.id)
    )
    rows = await connection.execute(statement)
    return [Membership(project_of(row), Role(row.role)) for row in rows]


async def change_role(
    connection: AsyncConnection, project_id: ProjectId, user_id: int, role: Role
) -> Member:
    """Gives a member another role.

    Raises:
        UnknownMember: There is no such member.
        LastOwner: They are the only owner.
    """
    member = await _held(connection, project_id, user_id)
    if role is not Role.OWNER:
        await _keep_an_owner(connection, project_id, member)
    await connection.execute(
        update(members).where(_is(project_id, user_id)).values(role=role.value)
    )
    return member._replace(role=role)


async def remove(connection: AsyncConnection, project_id: ProjectId, user_id: int) -> None:
    """Takes a member out of a project, at their own wish or another's.

    Raises:
        UnknownMember: There is no such member.
        LastOwner: They are the only owner.
    """
    member = await _held(connection, project_id, user_id)
    await _keep_an_owner(connection, project_id, member)
    await connection.execute(delete(members).where(_is(project_id, user_id)))


async def _held(connection: AsyncConnection, project_id: ProjectId, user_id: int) -> Member:
    """The member; other changes of the project's members wait until the transaction ends.

    Otherwise the last two owners could leave at the same time.
    """
    await connection.execute(
        select(projects.c.id).where(projects.c.id == project_id).with_for_update()
    )
    statement = (
        select(members.c.user_id, users.c.email, members.c.role)
        .join(users, users.c.id == members.c.user_id)
        .where(_is(project_id, user_id))
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise UnknownMember
    return Member(row.user_id, row.email, Role(row.role))


async def _keep_an_owner(
    connection: AsyncConnection, project_id: ProjectId, leaving: Member
) -> None:
    if leaving.role is not Role.OWNER:
        return
    if await _owners(connection, project_id, but=leaving.user_id) == 0:
        raise LastOwner


async def _owners(connection: AsyncConnection, project_id: ProjectId, but: int | None) -> int:
    counted = (
        select(func.count())
        .select_from(members)
        .where(
            members.c.project_id == project_id,
            members.c.role == Role.OWNER.value,
            members.c.user_id.is_distinct_from(but),
        )
    )
    return (await connection.execute(counted)).scalar_one()


def _is(project_id: ProjectId, user_id: int) -> ColumnElement[bool]:
    return (members.c.project_id == project_id) & (members.c.user_id == user_id)
