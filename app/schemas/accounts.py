"""Bodies and answers of /auth, /projects and /invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from analytics.calendar import WeekStart
from analytics.project import Project
from app.accounts.access import Role
from app.accounts.invitations import MOST_VALID_DAYS, VALID_DAYS, Invitation
from app.accounts.passwords import LEAST_CHARACTERS, MOST_CHARACTERS
from app.accounts.projects import MAX_NAME_CHARACTERS
from app.accounts.sessions import Session
from app.accounts.sign_in import Tokens
from app.accounts.users import MOST_CHARACTERS as MOST_EMAIL_CHARACTERS
from app.schemas.examples import BEGAN, ENDS, SHORTENED, UUID_TEXT, shown

_PROJECT: Final[dict[str, Any]] = {
    "id": 1,
    "name": "shop",
    "timezone": "Europe/Kyiv",
    "week_start": "monday",
    "role": "owner",
}

Email = Annotated[
    str,
    StringConstraints(max_length=MOST_EMAIL_CHARACTERS),
    Field(description="Differences of case don't count.", examples=["ann@example.com"]),
]
Password = Annotated[str, StringConstraints(max_length=4 * MOST_CHARACTERS)]
NewPassword = Annotated[
    str,
    StringConstraints(max_length=4 * MOST_CHARACTERS),
    Field(
        description=f"{LEAST_CHARACTERS} to {MOST_CHARACTERS} characters.",
        examples=["correct horse battery staple"],
    ),
]
Token = Annotated[str, StringConstraints(max_length=4096)]
ProjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=r"^[^\x00]*$"),
    Field(examples=["shop"]),
]
ZoneName = Annotated[
    str,
    StringConstraints(max_length=100),
    Field(description="IANA time zone whose days are counted.", examples=["Europe/Kyiv"]),
]


class Body(BaseModel):
    """What is sent: nothing but the fields that there are."""

    model_config = ConfigDict(extra="forbid")


class Credentials(Body):
    """Who logs in."""

    model_config = shown({"email": "ann@example.com", "password": "correct horse battery staple"})

    email: Email
    password: Password


class NewUser(Body):
    """Who registers; an invitation lets into its project at once."""

    model_config = shown(
        {
            "email": "ann@example.com",
            "password": "correct horse battery staple",
            "invitation": SHORTENED,
        }
    )

    email: Email
    password: NewPassword
    invitation: Token | None = Field(default=None, description="The secret of an invitation.")


class RefreshToken(Body):
    """The refresh token of the last login or refresh."""

    model_config = shown({"refresh_token": SHORTENED})

    refresh_token: Token


class PasswordChange(Body):
    """The password, and the one to come."""

    model_config = shown(
        {
            "current_password": "correct horse battery staple",
            "new_password": "eleven blue otters at sea",
        }
    )

    current_password: Password
    new_password: NewPassword


class NewProject(Body):
    """A project to be made."""

    model_config = shown({"name": "shop", "timezone": "Europe/Kyiv", "week_start": "monday"})

    name: ProjectName
    timezone: ZoneName = "UTC"
    week_start: WeekStart = WeekStart.MONDAY


class ProjectChange(Body):
    """What is to change of a project; what isn't named stays as it is."""

    model_config = shown({"name": "shop", "timezone": "Europe/Kyiv", "week_start": "sunday"})

    name: ProjectName | None = None
    timezone: ZoneName | None = None
    week_start: WeekStart | None = None


class RoleChange(Body):
    """A member's new role."""

    model_config = shown({"role": "viewer"})

    role: Role


class NewInvitation(Body):
    """An invitation to be made."""

    model_config = shown({"role": "member", "valid_days": 7})

    role: Role = Role.MEMBER
    valid_days: int = Field(
        default=VALID_DAYS, ge=1, le=MOST_VALID_DAYS, description="How long it can be accepted."
    )


class AcceptedInvitation(Body):
    """The secret of an invitation."""

    model_config = shown({"invitation": SHORTENED})

    invitation: Token


class UserAnswer(BaseModel):
    """An account."""

    model_config = shown({"id": 3, "email": "ann@example.com"})

    id: int
    email: str


class TokensAnswer(BaseModel):
    """A pair of tokens. The access token goes into `Authorization: Bearer ...`."""

    model_config = shown(
        {
            "access_token": "eyJhbGciOiJIUzI1NiJ9…",
            "refresh_token": SHORTENED,
            "token_type": "Bearer",
            "expires_in": 900,
        }
    )

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int = Field(description="How long the access token is valid, in seconds.")

    @classmethod
    def of(cls, tokens: Tokens) -> TokensAnswer:
        """The answer with these tokens."""
        return cls(
            access_token=tokens.access,
            refresh_token=tokens.refresh,
            token_type="Bearer",  # noqa: S106 - the scheme's name
            expires_in=int(tokens.access_ttl.total_seconds()),
        )


class SessionAnswer(BaseModel):
    """A device where the user is logged in. Times in UTC."""

    model_config = shown(
        {
            "id": UUID_TEXT,
            "began_at": BEGAN,
            "refreshed_at": BEGAN,
            "ends_at": ENDS,
            "user_agent": "curl/8.9",
            "address": "203.0.113.7",
            "current": True,
        }
    )

    id: str
    began_at: datetime
    refreshed_at: datetime
    ends_at: datetime = Field(description="When it ends, however often it is refreshed.")
    user_agent: str
    address: str
    current: bool = Field(description="Whether this request belongs to it.")

    @classmethod
    def of(cls, session: Session, current: str) -> SessionAnswer:
        """The answer for a session, as seen from the session `current`."""
        return cls(
            id=session.id,
            began_at=session.began_at,
            refreshed_at=session.refreshed_at,
            ends_at=session.ends_at,
            user_agent=session.user_agent,
            address=session.address,
            current=session.id == current,
        )


class ProjectAnswer(BaseModel):
    """A project, and what the caller is in it."""

    model_config = shown(_PROJECT)

    id: int
    name: str
    timezone: str
    week_start: WeekStart
    role: Role

    @classmethod
    def of(cls, project: Project, role: Role) -> ProjectAnswer:
        """The answer for a project."""
        return cls(
            id=project.id,
            name=project.name,
            timezone=project.timezone,
            week_start=project.week_start,
            role=role,
        )


class ProjectWithPeriod(ProjectAnswer):
    """A project, and for how long it keeps events."""

    model_config = shown(_PROJECT | {"storage_days": 365})

    storage_days: int | None = Field(
        description="Whole days before today whose events are kept; null, all."
    )


class MeAnswer(UserAnswer):
    """The caller's account, and the projects it belongs to."""

    model_config = shown({"id": 3, "email": "ann@example.com", "projects": [_PROJECT]})

    projects: list[ProjectAnswer]


class MemberAnswer(BaseModel):
    """A user in a project."""

    model_config = shown({"user_id": 3, "email": "ann@example.com", "role": "member"})

    user_id: int
    email: str
    role: Role


class InvitationAnswer(BaseModel):
    """An open invitation. Times in UTC."""

    model_config = shown({"id": 5, "role": "member", "created_at": BEGAN, "expires_at": ENDS})

    id: int
    role: Role
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation) -> InvitationAnswer:
        """The answer for an invitation."""
        return cls(**invitation._asdict())


class MadeInvitation(InvitationAnswer):
    """An invitation just made, with its secret, which nothing can show again."""

    model_config = shown(
        {
            "id": 5,
            "role": "member",
            "created_at": BEGAN,
            "expires_at": ENDS,
            "invitation": SHORTENED,
        }
    )

    invitation: str = Field(description="Goes into a link; whoever has it can accept it, once.")
