"""A process that syncs a mirror and kills itself at a step: reader, owner, folder, step."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.conftest import Database
from tests.mirror.faults import Fault, struck
from tests.mirror.hand_kept import HandKept


class _Killing(HandKept):
    def leave_files(self, folder: Path) -> None:
        """What the disk holds is what this process leaves."""
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    reader, owner, folder, at = sys.argv[1:]
    with _Killing(Database(owner, owner, reader, owner), Path(folder)) as keeper:
        keeper.open_or_build()
        with struck(Fault(int(at), keeper, Path(folder))):
            keeper.sync()
