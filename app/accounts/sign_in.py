"""Logging in, staying in, getting out: tokens for passwords, and new tokens for old ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.accounts import users
from app.accounts.authentication import SignedIn
from app.accounts.errors import (
    RefreshRaced,
    Unauthenticated,
    UnknownUser,
    WrongCredentials,
    WrongPassword,
)
from app.accounts.passwords import Passwords
from app.accounts.sessions import Rotation, SessionKey, TokenCache
from app.accounts.tokens import Claims, Signer, TokenType, new_id
from app.accounts.users import User
from app.database.pools import transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session is used, as its user will recognise it."""

    user_agent: str
    address: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens, and how long the access token is valid."""

    access: str
    refresh: str
    access_ttl: timedelta


@dataclass(frozen=True, slots=True)
class SignIn:
    """Everything that passwords and refresh tokens are exchanged for; one for the process.

    Every method raises RedisAway while Redis, which keeps the sessions, does not answer.
    """

    engine: AsyncEngine
    passwords: Passwords
    signer: Signer
    sessions: TokenCache
    access_ttl: timedelta
    refresh_ttl: timedelta

    async def log_in(self, email: str, password: str, device: Device) -> Tokens:
        """Tokens of a new session, for a normalised address.

        Raises:
            WrongCredentials: There is no such user, or their password is another: not told apart,
                neither by words nor by time.
            Busy: Too many passwords are being checked already.
        """
        async with transaction(self.engine) as connection:
            user = await users.by_email(connection, email)
        verdict = await self.passwords.check(password, user.password_hash if user else None)
        if user is None or not verdict.right:
            raise WrongCredentials
        if verdict.new_hash is not None:
            async with transaction(self.engine) as connection:
                await users.rehash(connection, user, verdict.new_hash)
        return await self._begin(user, device)

    async def refresh(self, token: str) -> Tokens:
        """The next pair for a refresh token, which is used up by it.

        Raises:
            Unauthenticated: The token is none of ours, or its session has ended. One that was used
                before ends its session: somebody has a copy.
            RefreshRaced: It was used within the last seconds; the session goes on.
        """
        claims = self.signer.read(TokenType.REFRESH, token)
        session = SessionKey(claims.user_id, claims.session_id)
        try:
            async with transaction(self.engine) as connection:
                user = await users.by_id(connection, claims.user_id)
        except UnknownUser as error:
            raise _ended() from error
        if user.generation != claims.generation:
            raise _ended()
        following = new_id()
        rotation = await self.sessions.rotate(session, claims.token_id, following)
        if rotation is Rotation.RACED:
            raise RefreshRaced
        if rotation is Rotation.REUSED:
            log.warning(
                "session.token_reused",
                extra={
                    "user_id": claims.user_id,
                    "session_id": claims.session_id,
                    "token_id": claims.token_id,
                },
            )
        if rotation is not Rotation.ROTATED:
            raise _ended()
        return self._pair(user, claims.session_id, following)

    async def log_out(self, token: str) -> None:
        """Ends the session of a refresh token, if it has not ended yet.

        Raises:
            Unauthenticated: The token is none of ours, or has expired.
        """
        claims = self.signer.read(TokenType.REFRESH, token)
        await self.sessions.end(SessionKey(claims.user_id, claims.session_id))

    async def log_out_everywhere(self, user_id: int) -> None:
        """Ends every session of a user.

        Raises:
            UnknownUser: There is no such user (any more).
        """
        async with transaction(self.engine) as connection:
            await users.begin_generation(connection, user_id)
        await self.sessions.end_all(user_id)

    async def change_password(
        self, caller: SignedIn, current: str, new: str, device: Device
    ) -> Tokens:
        """Changes the caller's password, and ends all sessions for one new one.

        Raises:
            WrongPassword: `current` isn't the password.
            InvalidPassword: `new` is too short or too long.
            Busy: Too many passwords are being checked already.
        """
        async with transaction(self.engine) as connection:
            user = await users.by_id(connection, caller.user_id)
        if not (await self.passwords.check(current, user.password_hash)).right:
            raise WrongPassword(field="current_password")
        new_hash = await self.passwords.hash(new)
        async with transaction(self.engine) as connection:
            user = await users.set_password(connection, caller.user_id, new_hash)
        await self.sessions.end_all(user.id)
        return await self._begin(user, device)

    async def _begin(self, user: User, device: Device) -> Tokens:
        session, token_id = SessionKey(user.id, new_id()), new_id()
        await self.sessions.begin(
            session, token_id, user_agent=device.user_agent, address=device.address
        )
        return self._pair(user, session.session_id, token_id)

    def _pair(self, user: User, session_id: str, refresh_id: str) -> Tokens:
        refresh = Claims(user.id, session_id, user.generation, refresh_id)
        access = Claims(user.id, session_id, user.generation, new_id())
        return Tokens(
            self.signer.issue(TokenType.ACCESS, access, self.access_ttl),
            self.signer.issue(TokenType.REFRESH, refresh, self.refresh_ttl),
            self.access_ttl,
        )


def _ended() -> Unauthenticated:
    return Unauthenticated("This session has ended; log in again.")
