"""Why somebody isn't let in, or an account isn't changed. Statuses stand in app.problems."""

from __future__ import annotations

from analytics.errors import Terminal


class Unauthenticated(Terminal):
    """A valid API key or access token is needed: send it as `Authorization: Bearer ...`."""

    code = "unauthenticated"


class Forbidden(Terminal):
    """The caller's role or scope does not allow this."""

    code = "forbidden"


class ProjectNeeded(Terminal):
    """The request must say which project it is about; name it by the header X-Project."""

    code = "project_needed"


class WrongCredentials(Unauthenticated):
    """The e-mail address or the password is wrong."""

    code = "wrong_credentials"


class WrongPassword(Terminal):
    """The current password is another."""

    code = "wrong_password"


class RefreshRaced(Terminal):
    """This refresh token was taken a moment ago, by another request: use the tokens that it got."""

    code = "refresh_raced"


class InvalidPassword(Terminal):
    """A password has 12 to 256 characters."""

    code = "invalid_password"


class InvalidEmail(Terminal):
    """This is no e-mail address: it takes one @ with something on both sides, and no spaces."""

    code = "invalid_email"


class EmailTaken(Terminal):
    """There is an account with this e-mail address already; log in, or use another."""

    code = "email_taken"


class UnknownUser(Terminal):
    """There is no such user."""

    code = "unknown_user"


class RegistrationClosed(Terminal):
    """Nobody can register here; the operator makes accounts by `tidemark user create`."""

    code = "registration_closed"


class InvitationNeeded(Terminal):
    """Registering here takes an invitation; a project's owner can make one."""

    code = "invitation_needed"


class InvalidInvitation(Terminal):
    """The invitation is unknown, used up, withdrawn or expired; ask for another."""

    code = "invalid_invitation"


class UnknownInvitation(Terminal):
    """The project has no such open invitation."""

    code = "unknown_invitation"


class UnknownMember(Terminal):
    """The project has no such member."""

    code = "unknown_member"


class AlreadyMember(Terminal):
    """The user belongs to the project already; an owner can change their role."""

    code = "already_member"


class LastOwner(Terminal):
    """A project keeps at least one owner; make somebody else owner first, or delete the project."""

    code = "last_owner"


class UnknownKey(Terminal):
    """The project has no such key."""

    code = "unknown_key"


class KeyEnded(Terminal):
    """The key is revoked or expired already; make a new one instead."""

    code = "key_ended"


class BenchmarkExposed(Terminal):
    """BENCHMARK_TOKEN passes without a login: only with local servers, on a loopback address.

    Unset it, or unset DATABASE_URL and listen on 127.0.0.1.
    """

    code = "benchmark_exposed"
