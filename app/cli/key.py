"""`tidemark key`: what lets programs in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from app.accounts import keys as api_keys
from app.accounts import projects as accounts
from app.cli.project import ProjectOption, in_transaction
from app.cli.ready import ready_servers

keys = typer.Typer(
    help="API keys: what lets a program write events or ask questions.", no_args_is_help=True
)

KeyArgument = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="The key's id.")]


@keys.command("create", epilog="Example: tidemark key create --project shop --scope ingest")
def create_key(
    project: ProjectOption,
    scope: Annotated[
        api_keys.Scope, typer.Option(help="ingest writes events, read asks questions.")
    ],
    valid_days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days that the key lives; else for ever.")
    ] = None,
) -> None:
    """Make an API key and print it, once: Tidemark keeps only its hash."""
    lifetime = None if valid_days is None else timedelta(days=valid_days)

    async def make(connection: AsyncConnection) -> str:
        owner = await accounts.by_name(connection, project)
        return (await api_keys.create(connection, owner.id, scope, lifetime)).secret

    with ready_servers() as servers:
        typer.echo(asyncio.run(in_transaction(servers.writer, make)))


@keys.command("list", epilog="Example: tidemark key list --project shop")
def list_keys(project: ProjectOption) -> None:
    """List a project's keys: id, scope, first characters, when last used, and whether it works."""

    async def find(connection: AsyncConnection) -> list[api_keys.Key]:
        owner = await accounts.by_name(connection, project)
        return await api_keys.of_project(connection, owner.id)

    with ready_servers() as servers:
        found = asyncio.run(in_transaction(servers.writer, find))
    now = datetime.now(UTC)
    for key in found:
        typer.echo(
            "\t".join([str(key.id), key.scope, f"{key.prefix}…", _used(key), _state(key, now)])
        )


@keys.command("rotate", epilog="Example: tidemark key rotate 3 --project shop --grace-hours 24")
def rotate_key(
    key: KeyArgument,
    project: ProjectOption,
    grace_hours: Annotated[
        int,
        typer.Option(min=0, max=720, help="Hours that the old key goes on; 0 ends it at once."),
    ],
) -> None:
    """Make a key like this one and print it, once; the old key ends after the grace."""

    async def rotate(connection: AsyncConnection) -> str:
        owner = await accounts.by_name(connection, project)
        grace = timedelta(hours=grace_hours)
        return (await api_keys.rotate(connection, owner.id, key, grace)).secret

    with ready_servers() as servers:
        typer.echo(asyncio.run(in_transaction(servers.writer, rotate)))


@keys.command("revoke", epilog="Example: tidemark key revoke 3 --project shop")
def revoke_key(key: KeyArgument, project: ProjectOption) -> None:
    """End a key at once, on every server."""

    async def revoke(connection: AsyncConnection) -> None:
        owner = await accounts.by_name(connection, project)
        await api_keys.revoke(connection, owner.id, key)

    with ready_servers() as servers:
        asyncio.run(in_transaction(servers.writer, revoke))
    typer.echo(f"Key {key} is revoked.")


def _used(key: api_keys.Key) -> str:
    return f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"


def _state(key: api_keys.Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    if key.expires_at is None:
        return "valid"
    ended = "until" if key.valid_at(now) else "expired"
    return f"{'valid ' if ended == 'until' else ''}{ended} {key.expires_at:%Y-%m-%d %H:%M}"
