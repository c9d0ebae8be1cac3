"""Locks between processes; the kernel lets go of them when their holder dies.

    gate      exclusive, while servers are started, joined or stopped: one process at a time decides
    owner     exclusive, as long as the process that runs the servers lives
    guests    shared by all that use servers they don't run; the owner takes it alone to stop them

flock rather than POSIX record locks: those vanish when any descriptor of the file is closed, and
two users of the same data directory within one process wouldn't exclude each other.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_POLL_SECONDS = 0.01


class Lock:
    """One lock file, held at most once by this object."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_exclusive(self) -> bool:
        """Take the lock alone, if nobody holds it."""
        return self._take(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the lock along with others who share it, if nobody holds it alone."""
        return self._take(fcntl.LOCK_SH)

    def wait_exclusive(self, seconds: float) -> bool:
        """Take the lock alone, waiting for up to `seconds`; False when they have passed."""
        end = time.monotonic() + seconds
        while not self.try_exclusive():
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        """Let go; nothing happens when the lock isn't held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _take(self, kind: int) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self.release()
        self._descriptor = descriptor
        return True
