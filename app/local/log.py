"""A server's log file: kept short, and quoted from when something went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 4 * 1024 * 1024
_QUOTED_LINES = 6
_QUOTED_BYTES = 4096


class Log:
    """The log of one run of a server, appended to the logs of the runs before it."""

    def __init__(self, path: Path) -> None:
        """Moves a log that has grown past MAX_BYTES aside to `<name>.1`, of which there is one."""
        self.path = path
        if path.exists() and path.stat().st_size > MAX_BYTES:
            path.replace(path.with_name(path.name + ".1"))
        self._start = path.stat().st_size if path.exists() else 0

    def open(self) -> BinaryIO:
        """For appending, as the output of a server."""
        return self.path.open("ab")

    def tail(self) -> tuple[str, ...]:
        """The last lines of this run, oldest first."""
        if not self.path.exists():
            return ()
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(self._start, size - _QUOTED_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip())[-_QUOTED_LINES:]
