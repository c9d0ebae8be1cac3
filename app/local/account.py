"""Which user the servers run as, and whether that user can get to what it needs.

Postgres refuses to run as root. When root starts Tidemark (a container, a fresh machine), both
servers run as an unprivileged user. That user has to be able to walk down to the data directory and
to the binaries; no directory outside the data directory is ever opened for it.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from app.local.errors import UnusableDirectory


@dataclass(frozen=True, slots=True)
class Account:
    """A user by name and numbers; it has no groups but its own."""

    name: str
    uid: int
    gid: int

    @classmethod
    def for_servers(cls, existing: Path) -> Account | None:
        """The user for the servers: None unless this process is root.

        Args:
            existing: A directory the servers made before, if they did. Its owner stays their user,
                also when a package installed since has brought a `postgres` user along.

        Raises:
            UnusableDirectory: Root, on a system with neither `postgres` nor `nobody`.
        """
        if os.geteuid() != 0:
            return None
        if existing.exists() and (uid := existing.stat().st_uid) != 0:
            return cls(user_name(uid), uid, existing.stat().st_gid)
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        message = (
            "Root can't run Postgres, and there is no user `postgres` or `nobody` to run it as;"
            " start Tidemark as a normal user, or set DATABASE_URL and REDIS_URL"
        )
        raise UnusableDirectory(message)

    def require_reach(self, path: Path, remedy: str) -> None:
        """Check that this user can walk to `path`.

        Args:
            path: A directory or file that exists.
            remedy: What to do about it, up to the words "a place open to".

        Raises:
            UnusableDirectory: A directory on the way is closed; the message names the first one.
        """
        target = path.resolve()
        for directory in [*reversed(target.parents), target]:
            if not self._may_enter(directory):
                message = (
                    f"{directory} is closed to the user {self.name}, as whom the servers run"
                    f" because Postgres refuses root, so {path} can't be reached; {remedy} a place"
                    f" open to {self.name}, or run as a normal user"
                )
                raise UnusableDirectory(message)

    def _may_enter(self, path: Path) -> bool:
        """Whether the execute bit that counts for this user is set."""
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        # An access control list can open what the mode closes, and no mode tells: leave that to the
        # real start.
        return bool(status.st_mode & stat.S_IXOTH) or _has_access_list(path)


def _has_access_list(path: Path) -> bool:
    """Whether a POSIX access control list refines the mode (Linux only)."""
    listing = getattr(os, "listxattr", None)
    return listing is not None and "system.posix_acl_access" in listing(path)


def user_name(uid: int) -> str:
    """A user's name, or the number where the system knows no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
