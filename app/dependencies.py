"""What routes ask for, as annotated types: `caller: Reader`, `answer: Answer`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from analytics.engines.protocol import Freshness
from analytics.questions.question import Question
from app.accounts.keys import KeyHolder, Scope
from app.formats import answered, is_known, unchanged
from app.lifespan import Resources
from app.limits import cost, payer_of
from app.problems import Forbidden, Unauthenticated
from app.request_log import note
from app.schemas.stats import EngineParameters

bearer = HTTPBearer(
    scheme_name="API key", description="`tidemark key create` prints one.", auto_error=False
)


async def resources(request: Request) -> Resources:
    """What the serving process holds open.

    Not a plain function: FastAPI would run that in a thread, for a third of a small request's time.
    """
    held = request.state.resources
    assert isinstance(held, Resources)  # noqa: S101 - put there by the lifespan
    return held


Held = Annotated[Resources, Depends(resources)]


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def key_holder(
    request: Request, credentials: HTTPAuthorizationCredentials | None
) -> KeyHolder:
    """Whoever the request's key lets in.

    Raises:
        Unauthenticated: No key, or one that is unknown, revoked or expired. Which of these is not
            told.
    """
    if credentials is None:
        raise Unauthenticated
    holder = await (await resources(request)).keys.ask(credentials.credentials)
    if holder is None:
        raise Unauthenticated(
            "This API key is unknown, revoked or expired; `tidemark key create` makes one."
        )
    note(project=holder.project.id, caller=f"key:{holder.key_id}")
    return holder


def _with_scope(scope: Scope) -> Callable[[Request, Credentials], Awaitable[KeyHolder]]:
    async def check(request: Request, credentials: Credentials) -> KeyHolder:
        holder = await key_holder(request, credentials)
        if holder.scope is not scope:
            raise Forbidden(
                f"This key has the scope {holder.scope}; this needs a key of the scope {scope}."
            )
        return holder

    return check


Reader = Annotated[KeyHolder, Depends(_with_scope(Scope.READ))]
Writer = Annotated[KeyHolder, Depends(_with_scope(Scope.INGEST))]


class Answering(Protocol):
    """Asks an engine, the one named or the one that the rule chooses, and answers the request."""

    async def __call__(self, question: Question[Any], asked: EngineParameters) -> Response:
        """The answer, or 304 if the caller has it already. Raises what the engine raises."""


async def answering(held: Held, request: Request, caller: Reader) -> Answering:
    """Engines are synchronous: each question gets a thread, and few at once.

    The caller is charged what the question costs.
    """

    async def answer(question: Question[Any], asked: EngineParameters) -> Response:
        stats = held.throttle.limits.stats
        # However long a question is, it can be asked.
        points = min(cost(question, asked.engine), stats.rate.burst)
        await held.throttle.charge(stats, payer_of(caller), points)
        known = request.headers.get("if-none-match")
        if known is not None and asked.freshness is Freshness.EXACT:
            meta = await held.questions.run(held.engines.version, question, asked.engine)
            if meta is not None and is_known(known, question, meta):
                return unchanged(question, meta)
        found = await held.questions.run(
            held.engines.answer, question, asked.engine, asked.freshness
        )
        held.answers.answered(found)
        note(engine=found.meta.engine, reason=found.meta.reason)
        return answered(question, found)

    return answer


Answer = Annotated[Answering, Depends(answering)]
