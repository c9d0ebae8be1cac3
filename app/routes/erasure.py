"""What leaves a project: a person's events at once, and all that are older than its period."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from starlette.convertors import PathConvertor, register_url_convertor

from app.database.pools import transaction
from app.dependencies import Eraser, Held, ProjectManager, ProjectViewer
from app.erasure import receipts, storage_period
from app.problems import declared
from app.schemas import erasure as schemas

router = APIRouter(
    prefix="/projects/{project_id}",
    tags=["erasure"],
    responses=declared(400, 401, 403, 404, 422, 429, 503),
)


class AnyText(PathConvertor):
    """Whatever stands there, slashes and line ends too: Starlette's own `path` has no line ends."""

    regex = "(?s:.*)"


register_url_convertor("any", AnyText())

# A user id may hold slashes, so it is all that stands between /users/ and /events.
OfUser = Annotated[str, Path(description="The `user_id` of events, percent-encoded.")]


@router.delete("/users/{user_id:any}/events")
async def erase_user(held: Held, caller: Eraser, user_id: OfUser) -> schemas.ErasureAnswer:
    """Remove every event of a user, in one transaction. Answers are without them from then on.

    Mirrors replace their files afterwards, which the receipt tells of. Events that arrive later
    with this user id are taken in as any others.
    """
    # However many events there are to look through, that may take its time.
    async with held.erasing, transaction(held.accounts, None) as connection:
        erasure_id = await receipts.erase(connection, caller.project.id, user_id)
        receipt = await receipts.receipt(connection, caller.project.id, erasure_id)
    held.metrics.erased.inc(receipt.events)
    return schemas.ErasureAnswer.of(receipt)


@router.get("/erasures/{erasure_id}")
async def see_erasure(held: Held, caller: Eraser, erasure_id: UUID) -> schemas.ErasureAnswer:
    """The receipt of an erasure, with how far the mirrors have come."""
    async with transaction(held.accounts) as connection:
        receipt = await receipts.receipt(connection, caller.project.id, erasure_id)
    return schemas.ErasureAnswer.of(receipt)


@router.get("/storage-period")
async def see_storage_period(held: Held, caller: ProjectViewer) -> schemas.StoragePeriod:
    """How long the project keeps events."""
    async with transaction(held.accounts) as connection:
        days = await storage_period.of_project(connection, caller.project.id)
    return schemas.StoragePeriod(days=days)


@router.put("/storage-period")
async def set_storage_period(
    held: Held, caller: ProjectManager, body: schemas.StoragePeriod
) -> schemas.StoragePeriod:
    """Keep events for so many days. Older ones are removed by the next run of a server's job."""
    async with transaction(held.accounts) as connection:
        await storage_period.keep(connection, caller.project.id, body.days)
    return body
