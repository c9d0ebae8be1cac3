"""Whether a folder that a process is told to write to can be: tried, since rights don't say all."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def nearest(folder: Path) -> Path:
    """The folder, or what is there of the way to it."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def unwritable(folder: Path) -> str | None:
    """Why nothing can be written to a folder, or to the one that it would be made in.

    None where something can, or could if the disk weren't full: that passes.
    """
    there = nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return None if error.errno in _FULL else f"{there} can't be written to ({error.strerror})"
