"""The data directory: what lies where in it, and how it comes to be.

Everything Tidemark keeps on a machine is below this one directory, so removing the directory
removes all of it. The directory itself gives no access to anybody else: mode 0700, or 0710 with the
group of the servers' user when root runs them as somebody else, who may walk through but neither
list nor write. Each file with a secret in it is 0600 on its own account and stays closed even in a
directory that is opened by hand.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.local.account import Account, user_name
from app.local.errors import UnusableDirectory

# The marker is a .gitignore because the default directory is made in somebody's working copy, and
# passwords don't belong in a repository.
_MARKER = ".gitignore"
_MARKER_TEXT = "# The data directory of Tidemark: nothing here belongs in a repository.\n*\n"


@dataclass(frozen=True, slots=True)
class Home:
    """A data directory; its path is made absolute, so a later change of folder moves nothing."""

    path: Path = Path(".tidemark")

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.expanduser().absolute())

    @property
    def postgres(self) -> Path:
        """Postgres's own directory: its data and its socket."""
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's own directory: its append-only file and its socket."""
        return self.path / "valkey"

    @property
    def mirror(self) -> Path:
        """The folder of all mirrors, one folder a process below it."""
        return self.path / "mirror"

    @property
    def logs(self) -> Path:
        """The servers' logs."""
        return self.path / "logs"

    @property
    def locks(self) -> Path:
        """Empty files that processes hold locks on; they are never removed."""
        return self.path / "locks"

    @property
    def secrets(self) -> Path:
        """The passwords of the local servers (0600)."""
        return self.path / "secrets.json"

    @property
    def secret_key(self) -> Path:
        """What tokens of signed-in users are signed with (0600)."""
        return self.path / "secret_key"

    @property
    def keys(self) -> Path:
        """The keys Tidemark makes for itself (0600), written by whoever makes them."""
        return self.path / "keys.json"

    @property
    def instance(self) -> Path:
        """Where the running servers listen and who runs them; absent when none run."""
        return self.path / "running.json"

    def create(self) -> Account | None:
        """Make the directory and its folders unless they exist, with the modes described above.

        Returns:
            The user the servers run as, or None when that is the caller (who isn't root).

        Raises:
            UnusableDirectory: The path holds somebody else's files, or isn't a directory one may
                write to.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim()
            account = Account.for_servers(self.postgres / "data")
            if account is None:
                _set_mode(self.path, 0o700)
            else:
                _set_mode(self.path, 0o710, account.gid)
            for folder in (self.logs, self.locks):
                folder.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.postgres, self.valkey):
                folder.mkdir(mode=0o700, exist_ok=True)
                if account is not None:
                    os.chown(folder, account.uid, account.gid, follow_symlinks=False)
        except OSError as error:
            raise self._unusable(error) from error
        return account

    def claim(self) -> None:
        """Make the directory unless it exists, for a process that starts no servers in it.

        Raises:
            UnusableDirectory: See `create`.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UnusableDirectory:
        return UnusableDirectory(
            f"The data directory {self.path} can't be used ({error.strerror}: {error.filename});"
            " point TIDEMARK_HOME at a directory you may write to"
        )

    def _claim(self) -> None:
        """Mark the directory as Tidemark's, or refuse it if it isn't ours to change."""
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            message = (
                f"The data directory {self.path} belongs to {user_name(owner)}, and this process is"
                f" {user_name(os.geteuid())}; run as {user_name(owner)} or point TIDEMARK_HOME"
                " elsewhere"
            )
            raise UnusableDirectory(message)
        marker = self.path / _MARKER
        if marker.exists() and marker.read_text().startswith(_MARKER_TEXT.splitlines()[0]):
            return
        foreign = sorted(
            entry.name
            for entry in self.path.iterdir()
            if not entry.name.startswith(_MARKER) and entry.name != "lost+found"
        )
        if foreign:
            message = (
                f"{self.path} holds files that aren't Tidemark's ({foreign[0]}, ...);"
                " point TIDEMARK_HOME at a new or empty directory"
            )
            raise UnusableDirectory(message)
        write_private(marker, _MARKER_TEXT)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read: whole or not at all, and safe on disk after."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make sure that names made or changed in a directory survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_mode(path: Path, mode: int, gid: int | None = None) -> None:
    """Set mode and group where they differ."""
    now = path.stat()
    if gid is not None and now.st_gid != gid:
        os.chown(path, -1, gid)
    if now.st_mode & 0o7777 != mode:
        path.chmod(mode)
