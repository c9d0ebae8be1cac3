"""`tidemark user`: accounts from the operator's side, so that registration can stay closed."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from app.accounts import invitations, members, projects, registration, users
from app.accounts.access import Role
from app.accounts.errors import UnknownUser
from app.accounts.passwords import Passwords
from app.accounts.users import User
from app.cli.project import in_transaction
from app.cli.ready import ready_servers
from app.turns import Turns

app = typer.Typer(help="Users: people who sign in.", no_args_is_help=True)

EmailArgument = Annotated[str, typer.Argument(help="Their e-mail address.")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin; else it is asked.")
]
RoleOption = Annotated[Role, typer.Option(help="What they are in the project.")]


@app.command("create", epilog="Example: tidemark user create ann@example.com --project shop")
def create(
    email: EmailArgument,
    project: Annotated[str | None, typer.Option(help="Project to let them into.")] = None,
    role: RoleOption = Role.MEMBER,
    *,
    password_stdin: StdinOption = False,
) -> None:
    """Make an account. The very first one becomes owner of the first project."""
    address = users.normalised(email)
    password_hash = asyncio.run(_hashed(password_stdin=password_stdin))

    async def make(connection: AsyncConnection) -> None:
        user = await registration.register(connection, address, password_hash)
        if project is not None:
            found = await projects.by_name(connection, project)
            await members.put(connection, found.id, user.id, role)

    with ready_servers() as servers:
        asyncio.run(in_transaction(servers.writer, make))
    typer.echo(f"{address} can log in.")


@app.command("list", epilog="Example: tidemark user list")
def list_users() -> None:
    """Every account, one a line: its address, then each of its projects and its role there."""

    async def read(connection: AsyncConnection) -> list[str]:
        lines = []
        for user in await users.all_users(connection):
            found = await members.of_user(connection, user.id)
            lines.append("\t".join([user.email, *(f"{p.name}:{role}" for p, role in found)]))
        return lines

    with ready_servers() as servers:
        for line in asyncio.run(in_transaction(servers.writer, read)):
            typer.echo(line)


@app.command("password", epilog="Example: tidemark user password ann@example.com")
def password(email: EmailArgument, *, password_stdin: StdinOption = False) -> None:
    """Set a new password, for somebody who lost theirs. It ends all their sessions."""
    new_hash = asyncio.run(_hashed(password_stdin=password_stdin))

    async def change(connection: AsyncConnection) -> None:
        await users.set_password(connection, (await _known(connection, email)).id, new_hash)

    with ready_servers() as servers:
        asyncio.run(in_transaction(servers.writer, change))
    typer.echo(f"{users.normalised(email)} has a new password; all their sessions have ended.")


@app.command("delete", epilog="Example: tidemark user delete ann@example.com --yes")
def delete(
    email: EmailArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an account; it is out at once. Its projects and their events stay."""
    if not yes:
        typer.confirm(f"Delete the account {email}?", abort=True)

    async def remove(connection: AsyncConnection) -> list[str]:
        user = await _known(connection, email)
        before = await members.of_user(connection, user.id)
        await users.remove(connection, user.id)
        return [
            project.name
            for project, role in before
            if role is Role.OWNER and not await members.has_owner(connection, project.id)
        ]

    with ready_servers() as servers:
        ownerless = asyncio.run(in_transaction(servers.writer, remove))
    typer.echo(f"{users.normalised(email)} is deleted.")
    for name in ownerless:
        typer.echo(
            f"Project {name} has no owner now; `tidemark user invite --project {name} --role owner`"
            " makes an invitation for one."
        )


@app.command("invite", epilog="Example: tidemark user invite --project shop --role viewer")
def invite(
    project: Annotated[str, typer.Option(help="Project to let them into.")],
    role: RoleOption = Role.MEMBER,
    days: Annotated[
        int,
        typer.Option(
            min=1, max=invitations.MOST_VALID_DAYS, help="How long it can be accepted, in days."
        ),
    ] = invitations.VALID_DAYS,
) -> None:
    """Make an invitation and print its secret, once. Whoever has it can register and join."""

    async def make(connection: AsyncConnection) -> str:
        found = await projects.by_name(connection, project)
        _, secret = await invitations.create(connection, found.id, role, timedelta(days=days))
        return secret

    with ready_servers() as servers:
        typer.echo(asyncio.run(in_transaction(servers.writer, make)))


async def _hashed(*, password_stdin: bool) -> str:
    if password_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    else:
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return await Passwords(Turns(1, 0)).hash(given)


async def _known(connection: AsyncConnection, email: str) -> User:
    address = users.normalised(email)
    user = await users.by_email(connection, address)
    if user is None:
        raise UnknownUser(f"No user {address}; `tidemark user list` lists them.", field="email")
    return user
