"""Errors as people and programs see them: one table from error type to HTTP status and exit code.

Over HTTP every error is an RFC 9457 problem: `type`, `title`, `status`, `detail`, a stable `code`,
and where it helps the `field` it speaks of and a list `errors`. On the command line it is one line
and an exit code.
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from analytics import errors
from app.accounts import errors as accounts
from app.accounts.projects import InvalidProject, ProjectExists
from app.body import BrokenBody, SlowBody, TooLarge
from app.erasure.receipts import InvalidUserId, UnknownErasure
from app.paths import Paths
from app.request_log import note
from ingest.errors import ContentTooLarge, InputEndedBadly, InvalidEvents, LoadRefused
from ingest.outcome import EventsRefused

MEDIA_TYPE = "application/problem+json"
USAGE, FAILURE, REJECTS, INTERRUPTED = 2, 1, 3, 130
# A body may hold a hundred thousand bad events; the detail says how many there are.
REJECTS_LISTED = 100

# Python's words and Arrow's: a thread needs memory of its own.
_NO_THREAD: Final = re.compile("can't start new thread|Failed to launch worker thread")

log = logging.getLogger(__name__)


class UnsupportedType(errors.Terminal):
    """The body's type, or its encoding, is not one that events are taken in."""

    code = "unsupported_media_type"


class TooMany(errors.Terminal):
    """The request holds more events than allowed."""

    code = "too_many_events"


class Throttled(errors.Transient):
    """The caller has asked for too much; wait as long as Retry-After says."""

    code = "throttled"

    def __init__(self, message: str, headers: dict[str, str]) -> None:
        """Takes the headers that say when to come again."""
        super().__init__(message)
        self.headers = headers


class RedisAway(errors.Transient):
    """Redis does not answer, and what is asked for needs it; try again in a moment."""

    code = "redis_unavailable"


class Busy(errors.Transient):
    """Too many requests of this kind are being worked on already; try again in a moment."""

    code = "busy"


class ImportInterrupted(errors.Transient):
    """The import was interrupted at a commit; run it again to go on."""

    code = "import_interrupted"


class Outcome(NamedTuple):
    """What an error becomes: an HTTP status, and the exit code of a command."""

    status: HTTPStatus
    exit_code: int


# The nearest class in an error's ancestry counts, so a new error has an outcome before it has a
# line of its own.
OUTCOMES: dict[type[errors.TidemarkError], Outcome] = {
    errors.TidemarkError: Outcome(HTTPStatus.INTERNAL_SERVER_ERROR, FAILURE),
    errors.Terminal: Outcome(HTTPStatus.BAD_REQUEST, FAILURE),
    errors.Transient: Outcome(HTTPStatus.SERVICE_UNAVAILABLE, FAILURE),
    errors.InvalidQuestion: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, USAGE),
    errors.InvalidInput: Outcome(HTTPStatus.BAD_REQUEST, FAILURE),
    InvalidEvents: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, FAILURE),
    errors.UnknownProject: Outcome(HTTPStatus.NOT_FOUND, FAILURE),
    InvalidProject: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, USAGE),
    ProjectExists: Outcome(HTTPStatus.CONFLICT, FAILURE),
    accounts.Unauthenticated: Outcome(HTTPStatus.UNAUTHORIZED, FAILURE),
    accounts.Forbidden: Outcome(HTTPStatus.FORBIDDEN, FAILURE),
    accounts.ProjectNeeded: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, USAGE),
    accounts.WrongPassword: Outcome(HTTPStatus.FORBIDDEN, FAILURE),
    accounts.RefreshRaced: Outcome(HTTPStatus.CONFLICT, FAILURE),
    accounts.InvalidPassword: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, USAGE),
    accounts.InvalidEmail: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, USAGE),
    accounts.EmailTaken: Outcome(HTTPStatus.CONFLICT, FAILURE),
    accounts.UnknownUser: Outcome(HTTPStatus.NOT_FOUND, FAILURE),
    accounts.RegistrationClosed: Outcome(HTTPStatus.FORBIDDEN, FAILURE),
    accounts.InvitationNeeded: Outcome(HTTPStatus.FORBIDDEN, FAILURE),
    accounts.InvalidInvitation: Outcome(HTTPStatus.NOT_FOUND, FAILURE),
    accounts.UnknownInvitation: Outcome(HTTPStatus.NOT_FOUND, FAILURE),
    accounts.UnknownMember: Outcome(HTTPStatus.NOT_FOUND, FAILURE),
    accounts.AlreadyMember: Outcome(HTTPStatus.CONFLICT, FAILURE),
    accounts.LastOwner: Outcome(HTTPStatus.CONFLICT, FAILURE),
    accounts.UnknownKey: Outcome(HTTPStatus.NOT_FOUND, FAILURE),
    accounts.KeyEnded: Outcome(HTTPStatus.CONFLICT, FAILURE),
    UnknownErasure: Outcome(HTTPStatus.NOT_FOUND, FAILURE),
    InvalidUserId: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, USAGE),
    UnsupportedType: Outcome(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, FAILURE),
    ImportInterrupted: Outcome(HTTPStatus.SERVICE_UNAVAILABLE, INTERRUPTED),
    TooLarge: Outcome(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, FAILURE),
    ContentTooLarge: Outcome(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, FAILURE),
    TooMany: Outcome(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, FAILURE),
    Throttled: Outcome(HTTPStatus.TOO_MANY_REQUESTS, FAILURE),
    SlowBody: Outcome(HTTPStatus.REQUEST_TIMEOUT, FAILURE),
    EventsRefused: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, FAILURE),
    LoadRefused: Outcome(HTTPStatus.SERVICE_UNAVAILABLE, FAILURE),
}


class Problem(BaseModel):
    """An RFC 9457 problem. `code` is stable; `detail` is written for people and may change."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    errors: list[dict[str, Any]] | None = None


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as problems, for a router's `responses`."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def outcome_of(error: errors.TidemarkError) -> Outcome:
    """The entry of OUTCOMES for the nearest class in the error's ancestry.

    An input that ended badly is answered as what ended it.
    """
    if isinstance(error, InputEndedBadly) and isinstance(error.__cause__, errors.TidemarkError):
        return outcome_of(error.__cause__)
    return next(OUTCOMES[cls] for cls in type(error).__mro__ if cls in OUTCOMES)


def install(app: FastAPI) -> None:
    """Makes every error of `app` that is expected answer as a problem; `edge` does the others."""
    app.add_exception_handler(errors.TidemarkError, _tidemark_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)


def response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The problem as an HTTP answer."""
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=problem.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def problem_of(error: errors.TidemarkError) -> Problem:
    """An expected error in the form of RFC 9457."""
    rejects = error.rejects if isinstance(error, InvalidEvents) else None
    return _problem(
        outcome_of(error).status,
        str(error),
        error.code,
        field=error.field,
        errors=[reject.as_json() for reject in rejects[:REJECTS_LISTED]] if rejects else None,
    )


def _problem(status: HTTPStatus, detail: str, code: str, **more: Any) -> Problem:
    return Problem(
        type=f"urn:tidemark:problem:{code}",
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        **more,
    )


def response_of(error: errors.TidemarkError) -> JSONResponse:
    """An expected error as an HTTP answer."""
    note(code=error.code)
    headers = {}
    if isinstance(error, accounts.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.Transient):
        headers["Retry-After"] = "1"
    if isinstance(error, Throttled):
        headers.update(error.headers)
    if isinstance(error, SlowBody | BrokenBody):
        # Otherwise the rest of the body would still be read, at the sender's own pace.
        headers["Connection"] = "close"
    return response(problem_of(error), headers)


def response_with(
    status: HTTPStatus, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """What HTTP itself refuses, as an answer: its code is the status in words."""
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    note(code=code)
    return response(_problem(status, detail, code), headers)


def wrong_method(paths: Paths, method: str, path: str) -> JSONResponse:
    """405 with what the path takes, or 404 if there is no such path."""
    allowed = ", ".join(paths.methods(path))
    if not allowed:
        return response_with(HTTPStatus.NOT_FOUND, "There is nothing at this path.")
    detail = f"{method} is not for this path; it takes {allowed}."
    return response_with(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"Allow": allowed})


async def crash(request: Request, error: Exception) -> JSONResponse:
    """An error that nobody expected: its trace is logged, and nothing of it is told.

    But for a lack of memory, after which the same request may go well.
    """
    log.error(
        "request.crashed",
        extra={"method": request.method, "path": _template(request)},
        exc_info=error,
    )
    if isinstance(error, MemoryError) or _NO_THREAD.search(str(error)):
        return response_of(
            errors.Exhausted("The server has no memory left for this; ask again in a moment")
        )
    detail = "Something went wrong on our side; the log of the server says what."
    return response(_problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail, "internal_error"))


async def _tidemark_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.TidemarkError)  # noqa: S101 - registered for this type
    return response_of(error)


async def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    # Pydantic's own entries echo the input, which may be a password.
    found = [{"field": _name(entry["loc"]), "message": entry["msg"]} for entry in error.errors()]
    detail = "; ".join(f"{entry['field']}: {entry['message']}" for entry in found)
    note(code="invalid_parameter")
    problem = _problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "invalid_parameter", errors=found)
    return response(problem)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    if isinstance(error.__cause__, errors.TidemarkError):
        # FastAPI's own, for whatever goes wrong while it reads a body.
        return response_of(error.__cause__)
    status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        # Not `url.path`, where what routes are matched with is percent-encoded again.
        return wrong_method(request.app.state.paths, request.method, request.scope["path"])
    return response_with(status, str(error.detail), headers)


def _template(request: Request) -> str | None:
    """The path without what stands in for its parameters, which may name people."""
    paths: Paths = request.app.state.paths
    return paths.template(request.scope["path"])


def _name(location: tuple[int | str, ...]) -> str:
    """`("query", "from")` as `from`: where a parameter stands is plain from the route."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])
