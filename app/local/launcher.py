"""A script that becomes a server which dies with its parent.

    python -I -S launcher.py PARENT SIGNAL UID GID COMMAND...

It gives up root (UID and GID are `-` when there is nothing to give up), asks the kernel for SIGNAL
at the parent's death, makes sure the parent isn't dead already, and execs COMMAND in its own place,
so the supervisor's child is the server itself.

A script rather than Popen's `preexec_fn`: that runs Python between fork and exec, which can
deadlock when the parent has other threads and which Python 3.12 warns of. And rather than Popen's
`user`: the unprivileged user need not be able to reach the Python interpreter. It costs 20 ms a
server.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Set up and exec; doesn't return."""
    parent, death_signal, uid, gid, *command = arguments
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    os.umask(0o077)
    # Python ignores SIGPIPE and a shell's `&` or nohup ignores more; what is ignored stays so
    # through exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # After setuid, which clears it. macOS has nothing like it: there the next start finds and stops
    # what is left.
    if (
        sys.platform == "linux"
        and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0
    ):
        sys.exit("prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(parent):
        sys.exit("the supervisor died before the server started")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
