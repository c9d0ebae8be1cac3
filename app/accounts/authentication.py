"""From a request's credential to its caller: an API key, or an access token.

A key is one look at Postgres. An access token is its signature, then at the same time its session
in Redis and its user's standing in Postgres. Neither is ever kept: what is answered holds at the
moment of the request. Requests of the same moment share their looks (app.together).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from analytics.errors import UnknownProject
from analytics.events import ProjectId
from app.accounts import projects
from app.accounts.access import Caller, Role
from app.accounts.errors import ProjectNeeded, Unauthenticated
from app.accounts.key_uses import KeyUses
from app.accounts.keys import KeyHolder, key_holders
from app.accounts.sessions import SessionKey, TokenCache
from app.accounts.standing import Asked, Membership, Standing, standings
from app.accounts.tokens import Claims, Signer, TokenType
from app.database.looks import Looks
from app.together import Together

KEY_PREFIX: Final = "tmk_"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user with a valid access token, whatever the project."""

    user_id: int
    email: str
    session: SessionKey


class Authentication:
    """Finds out who calls; one for the serving process."""

    def __init__(
        self,
        looks: Looks,
        signer: Signer,
        sessions: TokenCache,
        uses: KeyUses,
        benchmark_token: str | None = None,
    ) -> None:
        """Takes a token that passes as owner of every project; only a local server has one."""
        self._looks = looks
        self._benchmark_token = benchmark_token
        self._signer = signer
        self._sessions = sessions
        self._uses = uses
        self._keys = Together[str, KeyHolder | None](partial(key_holders, looks))
        self._standings = Together[Asked, Standing | None](partial(standings, looks))

    async def caller(self, credential: str | None, project_id: ProjectId | None) -> Caller:
        """Who calls in a project: the one named, else the key's own or the user's only one.

        Raises:
            Unauthenticated: The credential is none, or no longer valid. Which isn't told.
            UnknownProject: There is no such project, or it isn't the caller's: not told apart.
            ProjectNeeded: The user belongs to several.
            RedisAway: Redis does not answer; for access tokens only.
        """
        if credential is not None and credential.startswith(KEY_PREFIX):
            return await self._key(credential, project_id)
        if self._is_benchmark(credential):
            return await self._benchmark(project_id)
        claims, standing = await self._token(credential, project_id)
        project, role = _only(standing.memberships, project_id)
        return Caller(project, role, user_id=claims.user_id)

    async def signed_in(self, credential: str | None) -> SignedIn:
        """The user with this access token.

        Raises:
            Unauthenticated: It is none, or no longer valid. Which isn't told.
            RedisAway: Redis does not answer.
        """
        claims, standing = await self._token(credential, None)
        session = SessionKey(claims.user_id, claims.session_id)
        return SignedIn(claims.user_id, standing.email, session)

    async def _key(self, key: str, project_id: ProjectId | None) -> Caller:
        holder = await self._keys.ask(key)
        if holder is None:
            raise Unauthenticated(
                "This API key is unknown, revoked or expired; `tidemark key create` makes one."
            )
        if project_id not in {None, holder.project.id}:
            raise _unknown(project_id)
        self._uses.note(holder.key_id)
        return Caller(holder.project, holder.scope, key_id=holder.key_id)

    def _is_benchmark(self, credential: str | None) -> bool:
        token = self._benchmark_token
        if token is None or credential is None:
            return False
        return secrets.compare_digest(credential.encode(), token.encode())

    async def _benchmark(self, project_id: ProjectId | None) -> Caller:
        found = await projects.first_two(self._looks, project_id)
        owned = [Membership(project, Role.OWNER) for project in found]
        return Caller(*_only(owned, project_id))

    async def _token(
        self, token: str | None, project_id: ProjectId | None
    ) -> tuple[Claims, Standing]:
        if token is None:
            raise Unauthenticated
        claims = self._signer.read(TokenType.ACCESS, token)
        alive, standing = await asyncio.gather(
            self._sessions.alive(SessionKey(claims.user_id, claims.session_id)),
            self._standings.ask(Asked(claims.user_id, project_id)),
        )
        if not alive or standing is None or standing.generation != claims.generation:
            raise Unauthenticated("This session has ended; log in again.")
        return claims, standing


def _only(memberships: Sequence[Membership], project_id: ProjectId | None) -> Membership:
    if not memberships:
        raise _unknown(project_id)
    if len(memberships) > 1:
        raise ProjectNeeded(
            "You belong to several projects; name one by its id, in the header X-Project or the"
            " parameter project. GET /projects lists them.",
            field="project",
        )
    return memberships[0]


def _unknown(project_id: ProjectId | None) -> UnknownProject:
    if project_id is None:
        return UnknownProject(
            "You belong to no project; POST /projects makes one, an invitation lets you into one."
        )
    return UnknownProject(f"There is no project {project_id} that you belong to.", field="project")
