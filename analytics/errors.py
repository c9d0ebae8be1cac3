"""The errors Tidemark raises on purpose, and what each means for the caller.

    TidemarkError
    ├── Terminal               trying again changes nothing until somebody mends the cause
    │   ├── InvalidQuestion    a question that has no answer (a range turned round, limit 0, ...)
    │   │   ├── UnknownZone
    │   │   └── UnknownEngine
    │   ├── UnknownProject
    │   ├── InvalidSql         a statement that a person wrote and that can't be run
    │   ├── Closed             a connection that was closed is asked again
    │   ├── MissingPackage     an optional package is needed and not installed
    │   └── InvalidInput       a file or body that holds no events as announced (see ingest.errors)
    └── Transient              trying again later may succeed
        ├── Unreachable        a server does not answer
        ├── Exhausted          a question needs more memory or disk than it may have
        └── DeadlineExceeded   a query ran past its time limit

Every message says what was given, what is allowed and what to do next, in one line. `code` is
stable: clients may rely on it. Which HTTP status and exit code belong to an error is decided in one
table, app.problems.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class TidemarkError(Exception):
    """Tidemark could not do what was asked."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        """Take the whole message, by default the class's own, and the input field it speaks of."""
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))
        self.field = field


class Terminal(TidemarkError):
    """The request can't succeed as it stands; mend it before trying again."""

    code = "terminal"


class Transient(TidemarkError):
    """The request may succeed when it is tried again."""

    code = "transient"


class InvalidQuestion(Terminal):
    """The question has no answer as it was put."""

    code = "invalid_question"


class UnknownZone(InvalidQuestion):
    """The time zone is not an IANA zone name; use one like Europe/Kyiv or UTC."""

    code = "unknown_zone"


class UnknownEngine(InvalidQuestion):
    """No engine has this name."""

    code = "unknown_engine"


class UnknownProject(Terminal):
    """There is no such project; `tidemark project create NAME` makes one."""

    code = "unknown_project"


class InvalidSql(Terminal):
    """The statement can't be run."""

    code = "invalid_sql"


class Closed(Terminal):
    """This connection is closed; make another one."""

    code = "closed"


class MissingPackage(Terminal):
    """A package that this needs is not installed."""

    code = "missing_package"


class InvalidInput(Terminal):
    """The input can't be read as events."""

    code = "invalid_input"


class Unreachable(Transient):
    """A server that Tidemark needs does not answer."""

    code = "unreachable"


class Exhausted(Transient):
    """The question needs more memory or disk than it may have; ask for a shorter range."""

    code = "exhausted"


class DeadlineExceeded(Transient):
    """The query ran past its time limit; ask for a shorter range or raise the limit."""

    code = "deadline_exceeded"


def gist(error: Exception) -> str:
    """The first line of what an error says, or its type's name where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
