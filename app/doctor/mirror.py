"""The mirrors of this machine, as the processes that hold them see them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from analytics.errors import TidemarkError
from analytics.mirror.plan import age
from app.doctor.finding import Finding, note, ok, problem
from app.mirror_socket import MirrorReport, call, serving_folders
from app.mirroring import mirror_folder
from app.settings import Settings

LAG_SECONDS: Final = 60.0
TAIL_ROWS: Final = 200_000


def look_at_mirrors(settings: Settings) -> Iterator[Finding]:
    """Each mirror that a running server holds; whether it equals Postgres, `mirror verify` says."""
    if not settings.mirror:
        return
    folders = serving_folders(mirror_folder(settings))
    if not folders:
        yield note("mirror", "No server of this machine keeps a mirror now.", "tidemark serve")
    for folder in folders:
        try:
            report: MirrorReport = call(folder, "report")
        except TidemarkError as error:
            yield problem("mirror", str(error), "look into that server's log")
        else:
            yield _look_at_mirror(report)


def _look_at_mirror(report: MirrorReport) -> Finding:
    status, who = report.status, f"The mirror of process {report.pid}"
    if status.failed:
        return problem("mirror", f"{who} is {status.doing}.", "see docs/operations.md")
    if status.cause is not None:
        return note("mirror", f"{who} is {status.doing}; Postgres answers meanwhile.", "wait")
    lag = age(status.latest.as_of, datetime.now(UTC)) if status.latest else None
    tail = status.latest.tail if status.latest else 0
    says = f"{who} is {lag or 0:.0f} s behind Postgres, with {tail:,} events above the tidemark."
    if (lag or 0) > LAG_SECONDS or tail > TAIL_ROWS:
        return problem("mirror", says, "look for a long transaction; see docs/operations.md")
    return ok("mirror", says)
