"""Temporary files on a full disk: one error says so, wherever it shows."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import pytest

from ingest.sources.source import NO_OPTIONS
from ingest.sources.spool import seekable
from ingest.temporary import NoRoom, temporary_file


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Pipe(BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("size", [10, 100_000], ids=["at its closing", "while it is written"])
def test_no_room_is_said_whenever_it_shows(size: int) -> None:
    """A few bytes stay in the file's buffer until it is closed, and fail once more there."""
    with files_of_at_most(0), pytest.raises(NoRoom), temporary_file(None) as file:
        file.write(b"x" * size)


def test_what_must_be_read_at_any_place_has_no_room() -> None:
    with files_of_at_most(0), pytest.raises(NoRoom), seekable(Pipe(b"x" * 100_000), NO_OPTIONS):
        pass


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), temporary_file(None):
        raise PermissionError(13, "Permission denied")
