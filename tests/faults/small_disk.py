"""A disk that is full, or has room, as the test says: a small one, where this process may mount it.

Elsewhere the files of a process that is named may not grow, which looks the same to it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.faults.service import Service

_PIECE: Final = b"\0" * 65_536
LARGEST_FILE: Final = 300_000
"""Where nothing can be mounted: in bytes, and more than what a service logs in a test."""


class SmallDisk:
    """A folder, and how much goes into it."""

    def __init__(self, folder: Path, *, mounted: bool) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self.mounted = mounted
        self._full = False

    def fill(self, service: Service | None = None) -> None:
        """Leaves no room for a single byte; to a running service, if it is given."""
        self._full = True
        if not self.mounted:
            if service is not None:
                service.files_of_at_most(LARGEST_FILE)
            return
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(_PIECE):
                pass

    def make_room(self, service: Service | None = None) -> None:
        self._full = False
        self._ballast.unlink(missing_ok=True)
        if not self.mounted and service is not None:
            service.files_of_at_most(-1)

    def limits(self) -> list[str]:
        """What a command is started with, for the disk to be full to it as well."""
        if self.mounted or not self._full:
            return []
        return ["prlimit", f"--fsize={LARGEST_FILE}"]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    folder.mkdir()
    mounted = _may_mount()
    if not mounted:
        yield SmallDisk(folder, mounted=False)
        return
    options = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield SmallDisk(folder, mounted=True)
    finally:
        # Lazily: whoever still has a file open there doesn't keep the test from ending.
        subprocess.run(["umount", "--lazy", folder], check=True)


def _may_mount() -> bool:
    """Root may, but in most containers it may not; asked in a namespace of its own."""
    if os.geteuid() != 0:
        return False
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(trial, check=False, capture_output=True).returncode == 0
