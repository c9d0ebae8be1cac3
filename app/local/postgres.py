"""The local Postgres as a server: set for a small machine, started, waited for, stopped."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psycopg

from app.local.account import Account
from app.local.binaries import postgres_binary
from app.local.child import Child, Program, Stopping
from app.local.cluster import ADMIN, Cluster
from app.local.credentials import Credentials
from app.local.errors import ServerSlow, with_log
from app.local.home import Home
from app.local.instance import SOCKET_PORT, Instance
from app.local.leftovers import stop_leftovers
from app.local.log import Log
from app.local.options import ServerOptions
from app.local.roles import provide

_POLL_SECONDS = 0.005
_IMMEDIATE_SECONDS = 10.0

# For two cores and 4 GB. Given on the command line at every start, so that no file of an older
# version of Tidemark can contradict them.
_SETTINGS = {
    "autovacuum": "on",
    "cluster_name": "tidemark",
    "effective_cache_size": "1GB",
    # A forgotten transaction would hold back vacuum, and with it every mirror.
    "idle_in_transaction_session_timeout": "10min",
    # Compiling costs more than it saves on queries that DuckDB doesn't take over anyway.
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
    "maintenance_work_mem": "128MB",
    "max_logical_replication_workers": "0",
    "max_prepared_transactions": "0",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
    # There is no replica; this spares COPY into a table of the same transaction its write-ahead
    # log.
    "wal_level": "minimal",
    "work_mem": "16MB",
}
_UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Postgres:
    """The Postgres of one data directory."""

    def __init__(self, home: Home, account: Account | None, options: ServerOptions) -> None:
        self._home = home
        self._account = account
        self._options = options
        self._log = Log(home.logs / "postgres.log")
        self._cluster = Cluster(home, account, self._log)
        # The fast shutdown, which ends sessions and leaves nothing to recover; then the immediate.
        self._stopping: Stopping = (
            (signal.SIGINT, options.stop_seconds),
            (signal.SIGQUIT, min(options.stop_seconds, _IMMEDIATE_SECONDS)),
        )
        self._child: Child | None = None

    def clear_leftovers(self) -> None:
        """Stop what a killed run left running and remove what it left half-made."""
        self._cluster.clear_leftovers(self._stopping)

    def start(self, instance: Instance, credentials: Credentials) -> None:
        """Start the server, after initdb if it is the first time; `wait_ready` waits for it.

        Raises:
            ServerFailed: initdb failed.
        """
        self._cluster.create(credentials, self._options)
        settings = self._settings(instance)
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command: tuple[str | Path, ...] = (
            postgres_binary("postgres"),
            "-D",
            self._cluster.directory,
            *options,
        )
        program = Program("Postgres", command, self._home.postgres, self._log, self._stopping)
        self._child = Child(program, self._account)
        self._child.start()

    def wait_ready(self, instance: Instance, credentials: Credentials) -> None:
        """Wait until Postgres takes connections, and see to it that roles and database exist.

        Raises:
            ServerFailed: It ended instead, or doesn't know the administrator's password.
            ServerSlow: It isn't ready after `start_seconds`.
        """
        assert self._child is not None  # noqa: S101 - start() comes first
        end = time.monotonic() + self._options.start_seconds
        while not self._reports_ready(self._child.pid):
            self._child.require_alive()
            if time.monotonic() > end:
                sentence = f"Postgres isn't ready after {self._options.start_seconds:g} seconds"
                raise ServerSlow(with_log(sentence, self._log.path, self._log.tail()))
            time.sleep(_POLL_SECONDS)
        try:
            provide(
                instance.database_url(self._home, ADMIN, credentials.admin, "postgres"), credentials
            )
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())
            sentence = f"Postgres runs but doesn't let its administrator in ({reason})"
            raise self._child.failure(sentence) from error

    def ask_to_stop(self) -> None:
        """Begin a fast shutdown."""
        if self._child is not None:
            self._child.ask_to_stop()

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        if self._child is not None:
            self._child.stop()
            # Its sessions end with it, except those that hang, after it had to be killed.
            stop_leftovers("postgres", self._cluster.directory, ())

    def _settings(self, instance: Instance) -> dict[str, str]:
        """Everything that is set on the command line."""
        settings = _SETTINGS | {
            "max_connections": str(self._options.max_connections),
            "shared_buffers": f"{self._options.shared_buffers_mb}MB",
        }
        if not self._options.durable:
            settings |= _UNSAFE
        settings |= self._options.settings
        if instance.postgres_port is not None:
            port = str(instance.postgres_port)
            return settings | {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": "",
            }
        # Quoted for blanks; a quote inside is doubled.
        directory = str(self._home.postgres).replace('"', '""')
        return settings | {
            "listen_addresses": "",
            "port": str(SOCKET_PORT),
            "unix_socket_directories": f'"{directory}"',
        }

    def _reports_ready(self, pid: int) -> bool:
        """Whether the server says so in its pid file, which costs less than trying to connect."""
        try:
            lines = (self._cluster.directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
