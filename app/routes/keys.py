"""/projects/{project_id}/keys: what lets programs in."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from app.accounts import keys
from app.database.pools import transaction
from app.dependencies import Held, KeyManager, Number
from app.problems import declared
from app.schemas import keys as schemas

router = APIRouter(
    prefix="/projects/{project_id}/keys",
    tags=["keys"],
    responses=declared(400, 401, 403, 404, 408, 413, 422, 429, 503),
)

OfKey = Annotated[Number, Path(description="The key's id.")]


@router.get("")
async def list_keys(held: Held, caller: KeyManager) -> list[schemas.KeyAnswer]:
    """Every key of the project, ended ones too, the oldest first; none can be used from this."""
    async with transaction(held.accounts) as connection:
        found = await keys.of_project(connection, caller.project.id)
    return [schemas.KeyAnswer.of(each) for each in found]


@router.post("", status_code=HTTPStatus.CREATED)
async def create_key(held: Held, caller: KeyManager, body: schemas.NewKey) -> schemas.MadeKeyAnswer:
    """Make a key. It is shown this once."""
    lifetime = None if body.valid_days is None else timedelta(days=body.valid_days)
    async with transaction(held.accounts) as connection:
        made = await keys.create(connection, caller.project.id, body.scope, lifetime)
    return schemas.MadeKeyAnswer.made(made)


@router.post("/{key_id}/rotate", status_code=HTTPStatus.CREATED, responses=declared(409))
async def rotate_key(
    held: Held, caller: KeyManager, key_id: OfKey, body: schemas.Rotation
) -> schemas.MadeKeyAnswer:
    """Make a key of the same scope and lifetime, and end the old one after the grace."""
    grace = timedelta(hours=body.grace_hours)
    async with transaction(held.accounts) as connection:
        made = await keys.rotate(connection, caller.project.id, key_id, grace)
    return schemas.MadeKeyAnswer.made(made)


@router.delete("/{key_id}", status_code=HTTPStatus.NO_CONTENT)
async def revoke_key(held: Held, caller: KeyManager, key_id: OfKey) -> None:
    """End a key at once: the next request with it is refused, whichever server it reaches."""
    async with transaction(held.accounts) as connection:
        await keys.revoke(connection, caller.project.id, key_id)
