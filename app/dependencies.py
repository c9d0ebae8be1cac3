"""What routes ask for, as annotated types: `caller: Reader`, `ask: Ask`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from analytics.answer import Answer
from analytics.questions.question import Question
from app.accounts.keys import KeyHolder, Scope
from app.lifespan import Resources
from app.problems import Forbidden, Unauthenticated

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


class Asking(Protocol):
    """Asks an engine: the one named, or the one that the rule chooses."""

    async def __call__(self, question: Question[Any], engine: str | None = None) -> Answer[Any]:
        """The answer. Raises what the engine raises."""


async def asking(held: Held) -> Asking:
    """Engines are synchronous: each question gets a thread, and few at once."""

    async def ask(question: Question[Any], engine: str | None = None) -> Answer[Any]:
        return await to_thread.run_sync(
            held.engines.answer, question, engine, limiter=held.questions
        )

    return ask


Ask = Annotated[Asking, Depends(asking)]
