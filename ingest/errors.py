"""The errors of a load; they extend the tree drawn in analytics.errors.

InvalidInput
├── InvalidJson        a body is not JSON, or neither an array nor an object
├── ContentTooLarge    a source holds more than it may, decompressed
├── InvalidEvents      some events of a request can't be taken, so none was
└── InputEndedBadly    a source broke off after rows before it were committed
Transient
└── LoadInterrupted    Postgres stayed away for longer than a load waits
Terminal
└── LoadRefused        Postgres won't take the rows until somebody mends the cause
"""

from __future__ import annotations

from collections.abc import Sequence

from analytics.errors import InvalidInput, Terminal, Transient
from ingest.rejects import Reject
from ingest.report import Report


class InvalidJson(InvalidInput):
    """The body is not a JSON array of events."""

    code = "invalid_json"


class ContentTooLarge(InvalidInput):
    """The input is larger than allowed, decompressed; send it in parts."""

    code = "content_too_large"


class InvalidEvents(InvalidInput):
    """Some events can't be taken, so none was written; mend or leave out those listed."""

    code = "invalid_events"

    def __init__(self, rejects: Sequence[Reject], total: int, rejected: int | None = None) -> None:
        """Takes the rejects, at least one, and how many events there were in all.

        `rejected` is how many rejects there are, where `rejects` are only the first of them.
        """
        self.rejects = tuple(rejects)
        self.rejected = len(self.rejects) if rejected is None else rejected
        some = f"{self.rejected} of {total} events" if total > 1 else "The event"
        first = self.rejects[0]
        super().__init__(
            f"{some} can't be taken, so none was written. First, {first}", field=first.field
        )


class InputEndedBadly(InvalidInput):
    """The input broke off; what came before it is committed."""

    code = "input_ended_badly"

    def __init__(self, cause: InvalidInput, report: Report) -> None:
        """Takes what is wrong with the rest of the input, and the report up to there."""
        self.report = report
        super().__init__(f"{cause} {_standing(report)}", field=cause.field)


class LoadInterrupted(Transient):
    """Postgres went away during the load; what was committed before stays."""

    code = "load_interrupted"

    def __init__(self, cause: BaseException | str, report: Report) -> None:
        """Takes what went wrong last, and the report up to the last commit that is certain."""
        self.report = report
        who = getattr(cause, "who", "Postgres")
        super().__init__(f"{who} went away during the load: {_line(cause)}. {_standing(report)}")


class LoadRefused(Terminal):
    """Postgres refused the rows."""

    code = "load_refused"

    def __init__(self, cause: BaseException, report: Report) -> None:
        """Takes Postgres's own words, and the report up to the last commit."""
        self.report = report
        super().__init__(f"Postgres refused the rows: {_line(cause)}. {_standing(report)}")


def _line(cause: BaseException | str) -> str:
    text = str(cause) or type(cause).__name__
    return text.splitlines()[0].rstrip(".")


def _standing(report: Report) -> str:
    return (
        f"{report.inserted + report.duplicates:,} rows before are in the table; run it again from"
        " the start when the cause is mended: they will count as duplicates."
    )
