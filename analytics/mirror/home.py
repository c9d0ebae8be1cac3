"""Which folder, and which file in it, belong to this process.

Below the folder for all mirrors each process holds one of its own, by a lock that the kernel lets
go of when its holder dies: a second process can't open a DuckDB file, not even to read it. A
process takes the first folder that nobody holds, and with it the mirror that lies there, so a
restart finds a warm one. Every file has a new name, for a file that is thrown away may still be
read to its end.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

_FILE: Final = "events-{number}.duckdb"
_SPILL: Final = "spill"
_MOST_FOLDERS: Final = 1_000


class MirrorHome:
    """One process's own folder, held until `close`."""

    def __init__(self, folder: Path, lock: int) -> None:
        """Takes a folder and its open, locked lock file; `take` makes one."""
        self.folder = folder
        self._lock = lock
        self._latest = max((_number(path) for path in self.files()), default=0)

    @classmethod
    def take(cls, folder: Path) -> MirrorHome:
        """The first folder below `folder` that no process holds; the others nobody holds go.

        Raises:
            OSError: the folder can't be made or written to.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(_MOST_FOLDERS):
            own = folder / str(number)
            own.mkdir(mode=0o700, exist_ok=True)
            lock = _locked(own)
            if lock is not None:
                _remove_unheld(folder, own)
                shutil.rmtree(own / _SPILL, ignore_errors=True)
                return cls(own, lock)
        raise OSError(f"{folder} holds {_MOST_FOLDERS} mirrors, all of them in use")

    def spill(self, file: Path) -> Path:
        """For what DuckDB can't hold in memory of this file alone.

        DuckDB numbers what it puts there anew in every database, and cleans up all of it.
        """
        folder = self.folder / _SPILL
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / file.stem

    @property
    def socket(self) -> Path:
        """Where commands reach the process that holds this folder."""
        return self.folder / "socket"

    def files(self) -> list[Path]:
        """The mirrors' files that lie here, the newest first."""
        return sorted(self.folder.glob(_FILE.format(number="*")), key=_number, reverse=True)

    def new_file(self) -> Path:
        """A name that no file here has had since the folder was taken."""
        self._latest += 1
        return self.folder / _FILE.format(number=self._latest)

    def close(self) -> None:
        """Let go of the folder; what lies in it stays for the next process."""
        os.close(self._lock)


def held(folder: Path) -> list[Path]:
    """The folders below `folder` that processes hold now, in order."""
    found = (own for own in sorted(folder.glob("[0-9]*")) if own.is_dir())
    return [own for own in found if not _is_free(own)]


def _is_free(own: Path) -> bool:
    lock = _locked(own)
    if lock is None:
        return False
    os.close(lock)
    return True


def _locked(own: Path) -> int | None:
    """The folder's lock file, locked, or None while another process has it."""
    lock = os.open(own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _remove_unheld(folder: Path, own: Path) -> None:
    """Delete the other folders that nobody holds; each is locked while it goes."""
    for other in folder.glob("[0-9]*"):
        if other == own or not other.is_dir():
            continue
        lock = _locked(other)
        if lock is not None:
            shutil.rmtree(other, ignore_errors=True)
            os.close(lock)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])
