"""Who calls, and what they may do in a project: the one table of permissions.

A caller is an API key, which has a scope, or a signed-in user, who has a role in the project. Both
come down to the same permissions, and a route names the one that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from analytics.project import Project
from app.accounts.errors import Forbidden
from app.accounts.keys import Scope


class Role(StrEnum):
    """What a user is in a project."""

    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"


class Permission(StrEnum):
    """What a route may need; the words stand in the message of a refusal."""

    SEND_EVENTS = "send events"
    ASK_QUESTIONS = "ask questions"
    SEE_PROJECT = "see the project and its members"
    MANAGE_KEYS = "manage API keys"
    MANAGE_MEMBERS = "manage members and invitations"
    MANAGE_PROJECT = "change the project"
    ERASE_USERS = "erase the events of a user"
    DELETE_PROJECT = "delete the project"


_VIEWER: Final = frozenset({Permission.SEE_PROJECT, Permission.ASK_QUESTIONS})
_MEMBER: Final = _VIEWER | {Permission.SEND_EVENTS, Permission.MANAGE_KEYS}

# A StrEnum's members are equal to their words, so the words of roles and scopes must differ.
ALLOWED: Final[Mapping[Role | Scope, frozenset[Permission]]] = {
    Scope.INGEST: frozenset({Permission.SEND_EVENTS}),
    Scope.READ: frozenset({Permission.ASK_QUESTIONS}),
    Role.VIEWER: _VIEWER,
    Role.MEMBER: _MEMBER,
    Role.OWNER: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, in which project, and as what: everything they see is this project's.

    Attributes:
        project: the project that the request is about.
        holds: a key's scope, or a user's role in the project.
        key_id: the API key's id, for a caller with one.
        user_id: the user's id, for one who is signed in.
    """

    project: Project
    holds: Role | Scope
    key_id: int | None = None
    user_id: int | None = None

    @property
    def name(self) -> str:
        """`key:7`, `user:3` or `benchmark`: for limits and logs, never shown to others."""
        if self.key_id is not None:
            return f"key:{self.key_id}"
        return f"user:{self.user_id}" if self.user_id is not None else "benchmark"

    @property
    def role(self) -> Role:
        """The user's role; for routes that no key can call."""
        return Role(self.holds)

    def require(self, permission: Permission) -> None:
        """See to it that the caller may do this.

        Raises:
            Forbidden: The scope or role does not allow it; the message says which would.
        """
        if permission in ALLOWED[self.holds]:
            return
        scopes, roles = (
            " or ".join(each for each in kind if permission in ALLOWED[each])
            for kind in (Scope, Role)
        )
        if isinstance(self.holds, Role):
            who, needed = f"You are {self.holds} of this project", f"the role {roles}"
        else:
            who = f"This key has the scope {self.holds}"
            needed = f"a key of the scope {scopes}" if scopes else f"a signed-in {roles}"
        raise Forbidden(f"{who}; to {permission} takes {needed}.")
