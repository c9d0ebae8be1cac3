"""POST /invitations/accept: into a project by an invitation's secret."""

from __future__ import annotations

from fastapi import APIRouter

from app.accounts import invitations
from app.database.pools import transaction
from app.dependencies import Held, User
from app.problems import declared
from app.schemas import accounts as schemas

router = APIRouter(
    prefix="/invitations",
    tags=["projects"],
    responses=declared(400, 401, 404, 408, 409, 413, 422, 429, 503),
)


@router.post("/accept")
async def accept(
    held: Held, caller: User, body: schemas.AcceptedInvitation
) -> schemas.ProjectAnswer:
    """Join the project of an invitation, which is used up by it."""
    async with transaction(held.accounts) as connection:
        membership = await invitations.accept(connection, body.invitation, caller.user_id)
    return schemas.ProjectAnswer.of(*membership)
