"""What routes ask for, as annotated types: `sender: Sender`, `asker: Asker`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import Field

from analytics.engines.protocol import Freshness
from analytics.events import ProjectId
from analytics.project import LARGEST_ID, Project
from analytics.questions.question import Question
from app.accounts.access import Caller, Permission
from app.accounts.authentication import SignedIn
from app.accounts.errors import ProjectNeeded
from app.formats import answered, is_known, unchanged
from app.lifespan import Resources
from app.limits import Payer, PayerKind, cost, payer_of
from app.request_log import note
from app.schemas.stats import EngineParameters

BEARER: Final = HTTPBearer(
    scheme_name="Key or token",
    description="An API key (`tidemark key create` prints one), or the access token that "
    "`POST /auth/login` answers with.",
    auto_error=False,
)
Number = Annotated[int, Field(ge=1, le=LARGEST_ID)]


async def resources(request: Request) -> Resources:
    """What the serving process holds open.

    Not a plain function: FastAPI would run that in a thread, for a third of a small request's time.
    """
    held = request.state.resources
    assert isinstance(held, Resources)  # noqa: S101 - put there by the lifespan
    return held


Held = Annotated[Resources, Depends(resources)]

NamedByHeader = Annotated[
    Number | None, Header(description="Which of the caller's projects the request is about.")
]
NamedByQuery = Annotated[
    Number | None, Query(description="The same as the header X-Project.", alias="project")
]
# What these cost is known, and charged, when the request's content has been looked at.
CHARGED_BY_CONTENT: Final = frozenset({Permission.SEND_EVENTS, Permission.ASK_QUESTIONS})
NamedByPath = Annotated[Number, Path(description="The project's id.")]


class _Bearer(SecurityBase):
    """A dependency that is its own security scheme and reads the header Authorization itself.

    FastAPI takes as long for a dependency's dependency as for all that is done here: two of them
    were a twentieth of the server's time for a question.
    """

    model, scheme_name = BEARER.model, BEARER.scheme_name

    async def credential(self, request: Request) -> str | None:
        """The key or token of a request."""
        found = await BEARER(request)
        return None if found is None else found.credentials


class Needs(_Bearer):
    """A dependency: who calls, in the project they name, with the permission that the route needs.

    Raises:
        Unauthenticated, UnknownProject, ProjectNeeded, RedisAway: See
            `Authentication.caller`.
        Forbidden: The caller's scope or role does not allow it.
        Throttled: They ask too often.
    """

    def __init__(self, permission: Permission) -> None:
        """Takes what the route does."""
        self.permission = permission

    async def __call__(
        self, request: Request, x_project: NamedByHeader = None, named: NamedByQuery = None
    ) -> Caller:
        """The caller in the project of the header or query, else in their only one."""
        if x_project is not None and named is not None and x_project != named:
            raise ProjectNeeded(
                f"The header names project {x_project}, the query project {named}; name one.",
                field="project",
            )
        return await self._check(request, x_project or named)

    async def _check(self, request: Request, project_id: int | None) -> Caller:
        held = await resources(request)
        chosen = None if project_id is None else ProjectId(project_id)
        caller = await held.authentication.caller(await self.credential(request), chosen)
        note(project=caller.project.id, caller=caller.name)
        if self.permission not in CHARGED_BY_CONTENT:
            await held.throttle.charge(held.throttle.limits.requests, payer_of(caller))
        caller.require(self.permission)
        return caller


class NeedsInPath(Needs):
    """The same for routes below /projects/{project_id}."""

    async def __call__(  # type: ignore[override] # FastAPI reads the parameters of each
        self, request: Request, project_id: NamedByPath
    ) -> Caller:
        """The caller in the project of the path."""
        return await self._check(request, project_id)


class SignsIn(_Bearer):
    """A dependency: the user whose access token the request has, whatever the project.

    Raises:
        Unauthenticated, RedisAway: See `Authentication.signed_in`.
        Throttled: They ask too often.
    """

    async def __call__(self, request: Request) -> SignedIn:
        """The user."""
        held = await resources(request)
        found = await held.authentication.signed_in(await self.credential(request))
        payer = Payer(PayerKind.USER, str(found.user_id))
        note(caller=str(payer))
        await held.throttle.charge(held.throttle.limits.requests, payer)
        return found


Sender = Annotated[Caller, Depends(Needs(Permission.SEND_EVENTS))]
ProjectViewer = Annotated[Caller, Depends(NeedsInPath(Permission.SEE_PROJECT))]
KeyManager = Annotated[Caller, Depends(NeedsInPath(Permission.MANAGE_KEYS))]
MemberManager = Annotated[Caller, Depends(NeedsInPath(Permission.MANAGE_MEMBERS))]
ProjectManager = Annotated[Caller, Depends(NeedsInPath(Permission.MANAGE_PROJECT))]
ProjectDeleter = Annotated[Caller, Depends(NeedsInPath(Permission.DELETE_PROJECT))]
Eraser = Annotated[Caller, Depends(NeedsInPath(Permission.ERASE_USERS))]
User = Annotated[SignedIn, Depends(SignsIn())]


@dataclass(frozen=True, slots=True)
class Asking:
    """Whoever asks, who is charged what each question costs, and the way to their answers."""

    caller: Caller
    _held: Resources
    _known: str | None
    """The header If-None-Match."""

    @property
    def project(self) -> Project:
        """The project that they ask about."""
        return self.caller.project

    async def answer(self, question: Question[Any], asked: EngineParameters) -> Response:
        """The answer by the engine named, or by the one that the rule chooses; or 304.

        Engines are synchronous: each question gets a thread, and few at once.

        Raises:
            Throttled: They ask too often.
            TidemarkError: What the engine raises.
        """
        held = self._held
        stats = held.throttle.limits.stats
        # However long a question is, it can be asked.
        points = min(cost(question, asked.engine), stats.rate.burst)
        await held.throttle.charge(stats, payer_of(self.caller), points)
        if self._known is not None and asked.freshness is Freshness.EXACT:
            meta = await held.questions.run(held.engines.version, question, asked.engine)
            if meta is not None and is_known(self._known, question, meta):
                return unchanged(question, meta)
        found = await held.questions.run(
            held.engines.answer, question, asked.engine, asked.freshness
        )
        held.answers.answered(found)
        note(engine=found.meta.engine, reason=found.meta.reason)
        return answered(question, found)


class Asks(Needs):
    """A dependency: whoever asks, with all that a question needs."""

    def __init__(self) -> None:
        """Takes nothing."""
        super().__init__(Permission.ASK_QUESTIONS)

    async def __call__(  # type: ignore[override] # one dependency in place of two
        self, request: Request, x_project: NamedByHeader = None, named: NamedByQuery = None
    ) -> Asking:
        """Who asks, in the project that `Needs` finds."""
        caller = await super().__call__(request, x_project, named)
        return Asking(caller, await resources(request), request.headers.get("if-none-match"))


Asker = Annotated[Asking, Depends(Asks())]
