"""What became of the rows of a load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.rejects import Reject

COUNTS: Final = ("rows", "inserted", "duplicates", "rejected")


@dataclass(frozen=True, slots=True)
class Report:
    """Every row read, counted once, up to a commit.

    Attributes:
        rows: Rows read, without header and blank lines: inserted + duplicates + rejected.
        inserted: Rows this load put into the table.
        duplicates: Rows whose event_id the table, or an earlier row of the source, had already.
        rejected: Rows that are no events.
        batches: Commits, and batches that had nothing to write.
        staged_batches: Batches of these that went through the staging table.
        bytes_read: Bytes of the source, decompressed.
        seconds: From the first byte read to the last commit.
        ignored_columns: Columns of the source that events don't have, in the source's order.
        rejects: The first of the rejects, in the source's order; LoadOptions says how many.
    """

    rows: int = 0
    inserted: int = 0
    duplicates: int = 0
    rejected: int = 0
    batches: int = 0
    staged_batches: int = 0
    bytes_read: int = 0
    seconds: float = 0.0
    ignored_columns: tuple[str, ...] = ()
    rejects: tuple[Reject, ...] = ()

    def __post_init__(self) -> None:
        counted = self.inserted + self.duplicates + self.rejected
        if self.rows != counted:
            message = (
                f"{self.rows} rows were read, but {counted} are accounted for: a bug in ingest"
            )
            raise AssertionError(message)

    def as_json(self) -> dict[str, object]:
        """The same with names and values that JSON has."""
        return {
            "rows": self.rows,
            "inserted": self.inserted,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "batches": self.batches,
            "staged_batches": self.staged_batches,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 6),
            "ignored_columns": list(self.ignored_columns),
            "rejects": [reject.as_json() for reject in self.rejects],
        }


def total(reports: Sequence[Report]) -> Report:
    """The reports of several sources as one."""
    ignored = dict.fromkeys(name for report in reports for name in report.ignored_columns)
    counts = {
        name: sum(getattr(report, name) for report in reports)
        for name in (*COUNTS, "batches", "staged_batches", "bytes_read", "seconds")
    }
    rejects = tuple(reject for report in reports for reject in report.rejects)
    return Report(**counts, ignored_columns=tuple(ignored), rejects=rejects)


Progress = Callable[[Report], None]
"""Told the report so far after every commit, on the event loop's thread; should return at once."""
