"""Servers that a killed run left behind, or that are still on their way down after it.

On Linux the kernel has told them to stop already. Elsewhere, or when a server hangs, the next start
ends them here. A process is taken for ours by what it is, not by a number in a file, which may be
another process's by now: it runs a program of the expected name and works inside the data
directory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from app.local.child import Stopping

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.01
_KILL_SECONDS = 10.0


def stop_leftovers(program: str, directory: Path, stopping: Stopping) -> None:
    """Stop every process of `program` that works in `directory`, and return when there is none.

    The caller holds the owner's lock, so no living run is meant. Signals go from gentle to hard, as
    for a child.
    """
    for number, seconds in (*stopping, (signal.SIGKILL, _KILL_SECONDS)):
        parents = _processes(program, directory)
        # Postgres's own children aren't told: its checkpointer reads SIGINT as something else.
        first = [pid for pid, parent in parents.items() if parent not in parents]
        if not first:
            return
        name = number.name
        logger.warning("local.leftover.stopping program=%s pids=%s signal=%s", program, first, name)
        for pid in first:
            # It may end between the look and the signal.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + seconds
        while _processes(program, directory) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)


def _processes(program: str, directory: Path) -> dict[int, int]:
    """The processes meant, each with its parent."""
    look = _by_working_directory if Path("/proc/self/cwd").exists() else _by_command_line
    return look(program, directory)


def _by_working_directory(program: str, directory: Path) -> dict[int, int]:
    """By the executable's name and the current directory, both told by the kernel (Linux)."""
    if not directory.exists():
        return {}
    place = directory.stat()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        # Gone meanwhile, or another user's: then it isn't one of ours.
        with contextlib.suppress(OSError):
            name = (entry / "exe").readlink().name.removesuffix(" (deleted)")
            if name == program and os.path.samestat(place, (entry / "cwd").stat()):
                # After the name in brackets, which may hold anything: the state, then the parent.
                rest = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = int(rest[1])
    return found


def _by_command_line(program: str, directory: Path) -> dict[int, int]:
    """By the command line, where the program stands and a path in the directory."""
    ours = re.compile(rf"/{re.escape(program)} (.*[ =])?{re.escape(str(directory))}(/| |$)")
    command = ["/bin/ps", "-axww", "-o", "pid=,ppid=,command="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - all constant
    rows = (line.split(maxsplit=2) for line in listing.splitlines())
    return {
        int(pid): int(parent) for pid, parent, *words in rows if words and ours.search(words[0])
    }
