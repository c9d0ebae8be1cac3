"""What processes have taken so far, from the kernel's own counts (Linux)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int) -> float:
    """User and system time of a process, its ended children and its living ones together."""
    own = _fields(pid)
    return sum(map(int, own[11:15])) / _TICKS + sum(map(processor_seconds, children(pid)))


def parent(pid: int) -> int:
    """The process that started this one."""
    return int(_fields(pid)[1])


def children(pid: int) -> list[int]:
    """The processes that this one has started and that live."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if parent(int(folder.name)) == pid:
                    found.append(int(folder.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
    return found


def _fields(pid: int) -> list[str]:
    """What stands in /proc/PID/stat behind the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
