"""/auth: accounts, logins, sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from analytics.errors import TidemarkError
from app.accounts import members, registration, users
from app.accounts.sessions import SessionKey
from app.accounts.sign_in import Device
from app.attempts import Attempts
from app.database.pools import transaction
from app.dependencies import Held, User
from app.limits import address_of
from app.problems import RedisAway, declared
from app.schemas import accounts as schemas

MOST_AGENT_CHARACTERS = 200


async def _charged_and_counted(request: Request, held: Held) -> AsyncIterator[None]:
    """Each request is charged to its address, and counted by what became of it."""
    outcome = "error"
    try:
        await held.throttle.charge(held.throttle.limits.auth_address, address_of(request))
        yield
        outcome = "ok"
    except TidemarkError as error:
        outcome = error.code
        raise
    finally:
        held.metrics.auth.labels(request.scope["route"].name, outcome).inc()


router = APIRouter(
    prefix="/auth",
    tags=["sign-in"],
    dependencies=[Depends(_charged_and_counted)],
    responses=declared(400, 401, 408, 413, 422, 429, 503),
)


async def _device(request: Request) -> Device:
    agent = request.headers.get("user-agent", "")[:MOST_AGENT_CHARACTERS]
    return Device(agent, request.client.host if request.client is not None else "")


async def _attempts(held: Held) -> Attempts:
    if held.attempts is None:
        raise RedisAway
    return held.attempts


FromDevice = Annotated[Device, Depends(_device)]
Trying = Annotated[Attempts, Depends(_attempts)]


@router.post("/register", status_code=HTTPStatus.CREATED, responses=declared(403, 404, 409))
async def register(held: Held, body: schemas.NewUser) -> schemas.UserAnswer:
    """Make an account. Who may is the server's setting: everybody, the invited, nobody."""
    email = users.normalised(body.email)
    async with transaction(held.accounts) as connection:
        await registration.admit(connection, held.registration, body.invitation)
    password_hash = await held.sign_in.passwords.hash(body.password)
    async with transaction(held.accounts) as connection:
        user = await registration.register(connection, email, password_hash, body.invitation)
    return schemas.UserAnswer(id=user.id, email=user.email)


@router.post("/login")
async def login(
    held: Held, request: Request, device: FromDevice, attempts: Trying, body: schemas.Credentials
) -> schemas.TokensAnswer:
    """Exchange an e-mail address and a password for tokens; a session begins."""
    email, address = users.normalised(body.email), address_of(request)
    await attempts.begin(address, email)
    tokens = await held.sign_in.log_in(email, body.password, device)
    await attempts.succeeded(address, email)
    return schemas.TokensAnswer.of(tokens)


@router.post("/refresh", responses=declared(409))
async def refresh(held: Held, body: schemas.RefreshToken) -> schemas.TokensAnswer:
    """Exchange a refresh token for the next pair. It can be used once.

    Within five seconds a second use is answered with 409: another request of the same client was
    faster, and its tokens hold. Later it ends the session: somebody has a copy of the token.
    """
    return schemas.TokensAnswer.of(await held.sign_in.refresh(body.refresh_token))


@router.post("/logout", status_code=HTTPStatus.NO_CONTENT)
async def logout(held: Held, body: schemas.RefreshToken) -> None:
    """End the session of a refresh token; its access tokens are void from now on."""
    await held.sign_in.log_out(body.refresh_token)


@router.post("/logout-all", status_code=HTTPStatus.NO_CONTENT)
async def logout_all(held: Held, caller: User) -> None:
    """End every session of the caller."""
    await held.sign_in.log_out_everywhere(caller.user_id)


@router.post("/change-password", responses=declared(403))
async def change_password(
    held: Held,
    request: Request,
    caller: User,
    device: FromDevice,
    attempts: Trying,
    body: schemas.PasswordChange,
) -> schemas.TokensAnswer:
    """Change the caller's password; every session ends, and one begins for this device."""
    address = address_of(request)
    await attempts.begin(address, caller.email)
    passwords = body.current_password, body.new_password
    tokens = await held.sign_in.change_password(caller, *passwords, device)
    await attempts.succeeded(address, caller.email)
    return schemas.TokensAnswer.of(tokens)


@router.get("/me")
async def me(held: Held, caller: User) -> schemas.MeAnswer:
    """The caller's account, and the projects they belong to."""
    async with transaction(held.accounts) as connection:
        found = await members.of_user(connection, caller.user_id)
    projects = [schemas.ProjectAnswer.of(*membership) for membership in found]
    return schemas.MeAnswer(id=caller.user_id, email=caller.email, projects=projects)


@router.get("/sessions")
async def sessions(held: Held, caller: User) -> list[schemas.SessionAnswer]:
    """The devices where the caller is logged in, the last used first."""
    found = await held.sign_in.sessions.of_user(caller.user_id)
    return [schemas.SessionAnswer.of(each, caller.session.session_id) for each in found]


@router.delete("/sessions/{session_id}", status_code=HTTPStatus.NO_CONTENT)
async def end_session(
    held: Held, caller: User, session_id: Annotated[str, Path(max_length=64)]
) -> None:
    """Log the caller out from one device; done already where there is no such session."""
    await held.sign_in.sessions.end(SessionKey(caller.user_id, session_id))
