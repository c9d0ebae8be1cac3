"""What a look at one part of an installation found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import psycopg

CONNECT_SECONDS = 5


class Level(StrEnum):
    """How grave it is."""

    OK = "ok"
    NOTE = "note"
    """It works, with less protection, speed or room than it could."""
    PROBLEM = "problem"
    """Something doesn't work, or soon won't."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        part: what was looked at, a word or two.
        says: what was found, one sentence.
        next_step: what to do about it; None where all is well.
    """

    part: str
    level: Level
    says: str
    next_step: str | None = None


def ok(part: str, says: str) -> Finding:
    """All is well."""
    return Finding(part, Level.OK, says)


def note(part: str, says: str, next_step: str) -> Finding:
    """It could be better."""
    return Finding(part, Level.NOTE, says, next_step)


def problem(part: str, says: str, next_step: str) -> Finding:
    """It must be better."""
    return Finding(part, Level.PROBLEM, says, next_step)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A connection that commits each statement, for a short look.

    Raises:
        psycopg.Error: What Postgres says.
    """
    with psycopg.connect(
        url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="tidemark doctor"
    ) as connection:
        connection.execute("set statement_timeout = '5s'")
        yield connection
