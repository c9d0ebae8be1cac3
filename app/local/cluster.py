"""The files of the local Postgres: made by initdb, and put in order after a run that was killed."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from app.local.account import Account
from app.local.binaries import postgres_binary
from app.local.child import Child, Program, Stopping
from app.local.credentials import Credentials
from app.local.home import Home, sync_directory
from app.local.instance import postgres_socket
from app.local.leftovers import stop_leftovers
from app.local.log import Log
from app.local.options import ServerOptions

ADMIN = "tidemark_admin"
_STOPPING: Stopping = ((signal.SIGTERM, 5.0),)


class Cluster:
    """What Postgres calls a database cluster, in `postgres/data` of a data directory."""

    def __init__(self, home: Home, account: Account | None, log: Log) -> None:
        self.directory = home.postgres / "data"
        self._home = home
        self._account = account
        self._log = log
        # initdb works in a directory beside the real one, which is renamed when it is complete.
        self._draft = home.postgres / "data.partial"
        self._password_file = home.postgres / "password"

    def clear_leftovers(self, stopping: Stopping) -> None:
        """Stop what a killed run left running and remove what it left half-made."""
        stop_leftovers("initdb", self._home.postgres, _STOPPING)
        for directory in (self._draft, self.directory):
            stop_leftovers("postgres", directory, stopping)
        _defuse(self.directory / "postmaster.pid")
        socket = postgres_socket(self._home)
        for stale in (socket, socket.with_name(f"{socket.name}.lock"), self._password_file):
            stale.unlink(missing_ok=True)
        if self._draft.exists():
            shutil.rmtree(self._draft)

    def create(self, credentials: Credentials, options: ServerOptions) -> None:
        """Run initdb, unless there is a cluster already.

        Raises:
            ServerFailed: initdb failed, or took longer than `start_seconds`.
        """
        if self.directory.exists():
            return
        command = self._initdb(durable=options.durable)
        child = Child(
            Program("initdb", command, self._home.postgres, self._log, _STOPPING), self._account
        )
        try:
            self._write_password(credentials.admin)
            child.start()
            code = child.wait(options.start_seconds)
        finally:
            child.stop()
            self._password_file.unlink(missing_ok=True)
        if code != 0:
            outcome = "took too long" if code is None else f"failed (exit code {code})"
            raise child.failure(f"initdb {outcome}")
        self._draft.rename(self.directory)
        sync_directory(self._home.postgres)

    def _initdb(self, *, durable: bool) -> tuple[str | Path, ...]:
        """The command, for a cluster that lets nobody in without a password."""
        options = (
            f"--pgdata={self._draft}",
            f"--username={ADMIN}",
            f"--pwfile={self._password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Postgres's own C.UTF-8: the same order and upper case on every system, whatever
            # locales it has.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        return (postgres_binary("initdb"), *options, *(() if durable else ("--no-sync",)))

    def _write_password(self, password: str) -> None:
        """The administrator's password for initdb to read."""
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password + "\n")
            if self._account is not None:
                os.fchown(descriptor, self._account.uid, self._account.gid)


def _defuse(path: Path) -> None:
    """Take the sting out of a pid file whose number belongs to another process by now.

    Postgres refuses to start when that process exists. It also finds there the shared memory that
    tells whether old sessions are still alive, so the file stays, and only its number becomes ours:
    the one Postgres lets pass, because the parent of a new server can't be the old one.
    """
    if not path.exists():
        return
    # Not through a link: the directory belongs to the servers' user, and this may be root.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+") as file:
        rest = file.read().splitlines(keepends=True)[1:]
        file.seek(0)
        file.truncate()
        file.writelines([f"{os.getpid()}\n", *rest])
