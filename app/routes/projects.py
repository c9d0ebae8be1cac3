"""/projects: making and changing them, and who belongs to them."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.accounts import invitations, members, projects
from app.accounts.access import Role
from app.accounts.errors import UnknownMember
from app.accounts.projects import InvalidProject
from app.database.pools import transaction
from app.dependencies import (
    Held,
    MemberManager,
    Number,
    ProjectDeleter,
    ProjectManager,
    ProjectViewer,
    User,
)
from app.erasure import deletion, receipts, storage_period
from app.problems import declared
from app.schemas import accounts as schemas
from app.schemas import erasure

router = APIRouter(
    prefix="/projects",
    tags=["projects"],
    responses=declared(400, 401, 403, 404, 408, 413, 422, 429, 503),
)

OfMember = Annotated[Number, Path(alias="user_id", description="The member's id.")]
TypedName = Annotated[
    str, Query(description="The project's name, so that nobody deletes another by mistake.")
]
OfInvitation = Annotated[Number, Path(description="The invitation's id.")]


@router.get("")
async def list_projects(held: Held, caller: User) -> list[schemas.ProjectAnswer]:
    """The projects that the caller belongs to."""
    async with transaction(held.accounts) as connection:
        found = await members.of_user(connection, caller.user_id)
    return [schemas.ProjectAnswer.of(*membership) for membership in found]


@router.post("", status_code=HTTPStatus.CREATED, responses=declared(409))
async def create_project(
    held: Held, caller: User, body: schemas.NewProject
) -> schemas.ProjectAnswer:
    """Make a project; the caller becomes its owner."""
    async with transaction(held.accounts) as connection:
        made = await projects.create(connection, body.name, body.timezone, body.week_start)
        await members.add(connection, made.id, caller.user_id, Role.OWNER)
    return schemas.ProjectAnswer.of(made, Role.OWNER)


@router.get("/{project_id}")
async def see_project(held: Held, caller: ProjectViewer) -> schemas.ProjectWithPeriod:
    """One project, what the caller is in it, and for how long it keeps events."""
    async with transaction(held.accounts) as connection:
        days = await storage_period.of_project(connection, caller.project.id)
    answer = schemas.ProjectAnswer.of(caller.project, caller.role)
    return schemas.ProjectWithPeriod(**answer.model_dump(), storage_days=days)


@router.delete("/{project_id}", status_code=HTTPStatus.ACCEPTED)
async def delete_project(
    held: Held, caller: ProjectDeleter, name: TypedName
) -> erasure.ErasureAnswer:
    """Delete a project with its keys, members, invitations and events.

    Nobody gets in any more at once; then the events go, batch by batch, in the background.
    `GET /deletions/{id}`, with the answer's id, says how far that is.
    """
    if name != caller.project.name:
        raise InvalidProject(
            "The project has another name; to delete it, give its name as ?name=", field="name"
        )
    if caller.user_id is None:
        raise UnknownMember
    async with transaction(held.accounts) as connection:
        deletion_id = await deletion.delete(connection, caller.project.id, caller.user_id)
        receipt = await receipts.of_deletion(connection, caller.user_id, deletion_id)
    held.removals.begin()
    return erasure.ErasureAnswer.of(receipt)


@router.patch("/{project_id}", responses=declared(409))
async def change_project(
    held: Held, caller: ProjectManager, body: schemas.ProjectChange
) -> schemas.ProjectAnswer:
    """Rename a project, or have its days and weeks counted otherwise, past ones included."""
    async with transaction(held.accounts) as connection:
        changed = await projects.change(
            connection,
            caller.project,
            name=body.name,
            timezone=body.timezone,
            week_start=body.week_start,
        )
    return schemas.ProjectAnswer.of(changed, caller.role)


@router.get("/{project_id}/members")
async def list_members(held: Held, caller: ProjectViewer) -> list[schemas.MemberAnswer]:
    """Everybody in the project, by e-mail address."""
    async with transaction(held.accounts) as connection:
        found = await members.of_project(connection, caller.project.id)
    return [schemas.MemberAnswer(**member._asdict()) for member in found]


@router.patch("/{project_id}/members/{user_id}", responses=declared(409))
async def change_role(
    held: Held, caller: MemberManager, member: OfMember, body: schemas.RoleChange
) -> schemas.MemberAnswer:
    """Give a member another role. The last owner stays one."""
    async with transaction(held.accounts) as connection:
        changed = await members.change_role(connection, caller.project.id, member, body.role)
    return schemas.MemberAnswer(**changed._asdict())


@router.delete(
    "/{project_id}/members/{user_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=declared(409),
)
async def remove_member(held: Held, caller: MemberManager, member: OfMember) -> None:
    """Take a member out of the project, at once: their next request is refused."""
    async with transaction(held.accounts) as connection:
        await members.remove(connection, caller.project.id, member)


@router.post("/{project_id}/leave", status_code=HTTPStatus.NO_CONTENT, responses=declared(409))
async def leave(held: Held, caller: ProjectViewer) -> None:
    """Leave the project. The last owner can't."""
    if caller.user_id is None:
        raise UnknownMember
    async with transaction(held.accounts) as connection:
        await members.remove(connection, caller.project.id, caller.user_id)


@router.get("/{project_id}/invitations")
async def list_invitations(held: Held, caller: MemberManager) -> list[schemas.InvitationAnswer]:
    """The invitations that can still be accepted, without their secrets."""
    async with transaction(held.accounts) as connection:
        found = await invitations.of_project(connection, caller.project.id)
    return [schemas.InvitationAnswer.of(each) for each in found]


@router.post("/{project_id}/invitations", status_code=HTTPStatus.CREATED)
async def invite(
    held: Held, caller: MemberManager, body: schemas.NewInvitation
) -> schemas.MadeInvitation:
    """Make an invitation. Its secret is shown this once; put it into a link."""
    async with transaction(held.accounts) as connection:
        made, secret = await invitations.create(
            connection,
            caller.project.id,
            body.role,
            timedelta(days=body.valid_days),
            invited_by=caller.user_id,
        )
    return schemas.MadeInvitation(**made._asdict(), invitation=secret)


@router.delete("/{project_id}/invitations/{invitation_id}", status_code=HTTPStatus.NO_CONTENT)
async def withdraw_invitation(
    held: Held, caller: MemberManager, invitation_id: OfInvitation
) -> None:
    """Take an invitation back."""
    async with transaction(held.accounts) as connection:
        await invitations.withdraw(connection, caller.project.id, invitation_id)
