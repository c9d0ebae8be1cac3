"""A Postgres of the test's own: stopped, killed, put back as it was, followed and promoted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from app.local.binaries import postgres_binary
from app.local.cluster import ADMIN
from app.local.credentials import Credentials
from app.local.home import Home
from app.local.instance import Instance
from app.local.options import ServerOptions
from app.local.postgres import Postgres
from app.local.roles import OWNER, READER, WRITER
from tests.conftest import Database

# What a replica needs; everything else is as Tidemark runs it, with commits that reach the disk.
OPTIONS = ServerOptions(
    max_connections=100, settings={"wal_level": "replica", "max_wal_senders": "4"}
)
START_SECONDS = 60.0


class OwnPostgres:
    """The Postgres of one data directory, run by the test."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._account = home.create()
        self._postgres = Postgres(home, self._account, OPTIONS)
        self.instance = Instance.planned(home)
        self.credentials = Credentials.load(home)
        self.admin = self.instance.database_url(home, ADMIN, self.credentials.admin)

    @property
    def data(self) -> Path:
        return self.home.postgres / "data"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.begin()
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            assert time.monotonic() < end, (self.home.logs / "postgres.log").read_text()
            time.sleep(0.01)

    def begin(self) -> None:
        """Starts it and waits for nothing."""
        self._postgres.clear_leftovers()
        self._postgres.start(self.instance, self.credentials)

    def answers(self) -> bool:
        try:
            psycopg.connect(self.admin).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """The fast shutdown, which ends every session."""
        self._postgres.stop()

    def kill(self) -> None:
        """Kill -9 of the postmaster; what it leaves ends by itself, and is waited for."""
        os.kill(self._pid(), signal.SIGKILL)
        self._postgres.stop()

    def kill_a_session(self) -> None:
        """Kill -9 of one of its processes, whereupon Postgres ends all others and recovers."""
        with psycopg.connect(self.admin) as connection:
            found = connection.execute(
                "select pid from pg_stat_activity where usename = %s limit 1", [WRITER]
            ).fetchone()
        assert found is not None
        os.kill(found[0], signal.SIGKILL)

    def hang(self) -> None:
        """It stands still, every process of it: sockets stay open, and nobody answers."""
        # The postmaster first: afterwards there are no new ones.
        os.kill(self._pid(), signal.SIGSTOP)
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After `hang`."""
        for pid in (*self._processes(), self._pid()):
            os.kill(pid, signal.SIGCONT)

    def copy_files(self, target: Path) -> None:
        """The files of a stopped server, as a snapshot of a volume has them."""
        copy_owned(self.data, target)

    def put_back(self, source: Path) -> None:
        """The files as they were when they were copied; the server is stopped."""
        shutil.rmtree(self.data)
        copy_owned(source, self.data)

    def follower(self, home: Home) -> OwnPostgres:
        """A replica that streams from this one, with what is committed here waiting for it."""
        home.create()
        shutil.copy2(self.home.secrets, home.secrets)
        into = home.postgres / "data"
        subprocess.run(
            [
                postgres_binary("pg_basebackup"),
                f"--dbname={self.admin}",
                f"--pgdata={into}",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        own(into, self.data)
        replica = OwnPostgres(home)
        replica.start()
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute("alter system set synchronous_standby_names = '*'")
            connection.execute("select pg_reload_conf()")
        return replica

    def promote(self) -> None:
        """Makes a replica the primary, which waits for nobody."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute("alter system reset synchronous_standby_names")
            connection.execute("select pg_reload_conf()")
            assert connection.execute("select pg_promote()").fetchone() == (True,)

    def _processes(self) -> list[int]:
        """Those that the postmaster has started."""
        postmaster = self._pid()
        found = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        return [int(pid) for pid in found.split()]

    def _pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])


class Address:
    """Where clients find Postgres: a name that can be moved to another server, as DNS is."""

    def __init__(self, folder: Path) -> None:
        self._link = folder / "pg"

    def move(self, server: OwnPostgres) -> None:
        self.point(server.home.postgres)

    def point(self, folder: Path) -> None:
        """To whatever has its socket there."""
        fresh = self._link.with_name("pg.new")
        fresh.symlink_to(folder)
        fresh.replace(self._link)

    def database(self, server: OwnPostgres) -> Database:
        """URLs of each role by this address; the passwords are the server's."""
        credentials = server.credentials
        passwords = {
            OWNER: credentials.owner,
            WRITER: credentials.writer,
            READER: credentials.reader,
            ADMIN: credentials.admin,
        }
        here, there = quote(str(self._link)), quote(str(server.home.postgres))
        return Database(
            *(
                server.instance.database_url(server.home, role, password).replace(there, here)
                for role, password in passwords.items()
            )
        )


def copy_owned(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    own(target, source)


def own(target: Path, like: Path) -> None:
    owner = like.stat()
    for path in (target, *target.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
