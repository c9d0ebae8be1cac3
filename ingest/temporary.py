"""Temporary files, and what is said when the disk has no room for them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from analytics.errors import Transient

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NoRoom(Transient):
    """The disk has no room for a temporary file; make room, or name another folder for them."""

    code = "no_room"


@contextmanager
def temporary_file(folder: Path | None) -> Iterator[IO[bytes]]:
    """A file without a name in this folder, by default the system's own; gone behind the block.

    Raises:
        NoRoom: The disk is full. To close a file is to write what is left of it: that may fail too.
    """
    try:
        with TemporaryFile(dir=folder, prefix="tidemark-") as file:
            yield file
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoom from error
        raise
