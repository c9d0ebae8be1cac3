"""How a mirror is to be kept, and what can be heard of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from analytics.duck import DuckLimits
from analytics.mirror.build import Progress
from analytics.mirror.sync import Synced
from analytics.sessions import KEPT


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the mirror is brought up to date.

    Attributes:
        shortest, longest: between two syncs: with events coming in, and with none for a while.
        rest: a sync is followed by a rest of so many times its own length, so that one that takes
            long leaves the processor to others.
        prune: between two looks at what may be pruned, and renewals of the lease.
        erasures: between two looks whether somebody was erased who may be in the file.
        rewrite: from one new file for that reason to the next; it answers all erasures till then.
        patience: the longest wait after an error, unless what failed took longer itself.
    """

    shortest: timedelta = timedelta(seconds=0.1)
    longest: timedelta = timedelta(seconds=1)
    rest: float = 0.5
    prune: timedelta = timedelta(seconds=60)
    erasures: timedelta = timedelta(seconds=15)
    rewrite: timedelta = timedelta(minutes=10)
    patience: timedelta = timedelta(seconds=8)


class Listener(Protocol):
    """Hears of what the keeper does, for metrics. Called in the keeper's thread."""

    def synced(self, synced: Synced) -> None:
        """A sync ended well."""

    def failed(self, cause: str) -> None:
        """Something failed, for this one-word cause."""

    def built(self, cause: str, rows: int, seconds: float) -> None:
        """A mirror was built; `cause` is why the one before it was given up, or `first`."""

    def pruned(self, removals: int) -> None:
        """Removals that no mirror needs were deleted in Postgres."""


class _Deaf:
    """For callers without metrics."""

    def synced(self, synced: Synced) -> None:
        """Nothing."""

    def failed(self, cause: str) -> None:
        """Nothing."""

    def built(self, cause: str, rows: int, seconds: float) -> None:
        """Nothing."""

    def pruned(self, removals: int) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to keep a mirror.

    Attributes:
        folder: below which this process takes a folder of its own.
        reader: libpq URL, best of the read-only role: everything is read through it.
        writer: libpq URL of a role that may prune; without one nothing is pruned.
        limits: what DuckDB may use.
        pace: how often.
        listener: hears what happens.
        asked_at_once: by how many, who each need a connection where something lies above.
    """

    folder: Path
    reader: str
    writer: str | None = None
    limits: DuckLimits = field(default_factory=DuckLimits)
    pace: Pace = field(default_factory=Pace)
    listener: Listener = field(default_factory=_Deaf)
    asked_at_once: int = KEPT


@dataclass(slots=True)
class Status:
    """What there is to know of the mirror now.

    Attributes:
        doing: in a few words.
        cause: why there is none to ask, as one word; None if there is one.
        failed: whether the latest try to get one failed; it will be tried again.
        progress: of a build under way.
        latest: the last sync, if there was one.
    """

    doing: str = "starting"
    cause: str | None = "starting"
    failed: bool = False
    progress: Progress | None = None
    latest: Synced | None = None


def age(as_of: datetime | None, now: datetime) -> float | None:
    """Seconds from `as_of` to `now`, never negative: two machines' clocks differ a little."""
    return None if as_of is None else max(0.0, (now - as_of).total_seconds())
