"""What became of the events of a request, id by id."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import asyncpg
from asyncpg.pgproto import pgproto

from analytics.errors import Terminal, Transient
from ingest.rejects import Reject


class Way(StrEnum):
    """How a batch went into the table."""

    INSERT = "insert"
    COPY = "copy"
    STAGED = "staged"


BatchSink = Callable[[Way, int], None]
"""Told of each batch once it is committed: the way it took, and how many rows it had."""


def nobody(_way: Way, _rows: int) -> None:
    """Where nobody wants to know."""


class EventsRefused(Terminal):
    """Postgres refuses the events; mend them before sending them again."""

    code = "events_refused"


class NotWritable(Transient):
    """Postgres takes no events just now; none of the request was written. Try again."""

    code = "not_writable"


class IdHeld(Transient):
    """Another transaction holds one of the events' ids; try again when it has ended."""

    code = "id_held"


@dataclass(frozen=True, slots=True)
class SmallResult:
    """Ids of a request, in its order.

    Attributes:
        inserted: Those that are new in the table.
        duplicates: Those that were there already. Of an id sent twice the first event counts, and
            the second is listed here.
        rejects: The events that are none; they are in neither list.
        way: How they went; of no interest to callers.
    """

    inserted: list[UUID]
    duplicates: list[UUID]
    rejects: tuple[Reject, ...] = ()
    way: Way = field(default=Way.INSERT, compare=False)


def ids_of(values: Sequence[bytes]) -> list[UUID]:
    """UUIDs of 16 bytes each; by asyncpg's own class, which is made ten times as fast."""
    return list(map(pgproto.UUID, values))


def told_apart(
    keys: Sequence[bytes], new: Container[bytes] | None, rejects: tuple[Reject, ...], way: Way
) -> SmallResult:
    """The result for ids in the order sent, given which of them are new (None: all)."""
    if new is None and len(set(keys)) == len(keys):
        return SmallResult(ids_of(keys), [], rejects, way)
    inserted: list[bytes] = []
    duplicates: list[bytes] = []
    seen: set[bytes] = set()
    for key in keys:
        first = key not in seen
        seen.add(key)
        (inserted if first and (new is None or key in new) else duplicates).append(key)
    return SmallResult(ids_of(inserted), ids_of(duplicates), rejects, way)


@contextmanager
def refusals_named() -> Iterator[None]:
    """Postgres's refusals as errors of ours.

    Raises:
        EventsRefused: It refuses the events themselves.
        IdHeld: Another transaction was in the way for too long.
        NotWritable: It refuses to write, whatever the events.
    """
    try:
        yield
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise EventsRefused(f"Postgres refuses the events: {_line(error)}") from error
    except asyncpg.LockNotAvailableError as error:
        raise IdHeld from error
    except asyncpg.PostgresError as error:
        raise NotWritable(
            f"Postgres takes no events just now: {_line(error)}. None was written; try again"
        ) from error


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
