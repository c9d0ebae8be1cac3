"""GET /deletions/{deletion_id}: how far the deletion of a project is.

Not below /projects: the project is gone, and with it everybody's role in it.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from app.database.pools import transaction
from app.dependencies import Held, User
from app.erasure import receipts
from app.problems import declared
from app.schemas import erasure as schemas

router = APIRouter(
    prefix="/deletions",
    tags=["projects"],
    responses=declared(401, 404, 422, 429, 503),
)


@router.get("/{deletion_id}")
async def see_deletion(held: Held, caller: User, deletion_id: UUID) -> schemas.ErasureAnswer:
    """The receipt of a project that the caller has deleted, with how far that is."""
    async with transaction(held.accounts) as connection:
        receipt = await receipts.of_deletion(connection, caller.user_id, deletion_id)
    return schemas.ErasureAnswer.of(receipt)
