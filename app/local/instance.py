"""The servers of a data directory as others find them: where they listen, and if they answer.

Both listen on Unix sockets inside the data directory, where nobody else can connect and no port has
to be free. A socket's path has to fit into 107 bytes (103 on macOS). Where the data directory lies
too deep for that, both listen on a free port of 127.0.0.1 instead, and the passwords alone keep
others out.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from app.local.credentials import Credentials
from app.local.home import Home, write_private

SOCKET_PORT = 5432
DATABASE = "tidemark"
_MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103
_ANSWER_SECONDS = 2.0
_READER = "reader"


@dataclass(frozen=True, slots=True)
class Instance:
    """One run of the servers. The ports are None where they listen on Unix sockets."""

    pid: int
    postgres_port: int | None
    valkey_port: int | None

    @classmethod
    def planned(cls, home: Home) -> Instance:
        """A run to be started by this process."""
        paths = (postgres_socket(home), valkey_socket(home))
        fits = all(len(os.fsencode(path)) <= _MAX_SOCKET_PATH for path in paths)
        # libpq and asyncpg read a comma in the host as a list of hosts, however it is quoted.
        if fits and "," not in str(home.path):
            return cls(os.getpid(), None, None)
        return cls(os.getpid(), *_free_ports())

    @classmethod
    def load(cls, home: Home) -> Instance | None:
        """The run noted down in the data directory; whether it still runs is another question."""
        try:
            noted = json.loads(home.instance.read_text())
            noted.pop(_READER, None)
            return cls(**noted)
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            # None, or one that another version of Tidemark wrote: either way none to be joined.
            return None

    def save(self, home: Home, reader: str) -> None:
        """Note this run down for other processes, now that its servers are ready.

        `reader` is the URL of the role that only reads: what `Analytics.connect` looks for, which
        knows nothing else of a data directory (see analytics.local_instance).
        """
        write_private(home.instance, json.dumps({**asdict(self), _READER: reader}) + "\n")

    def database_url(self, home: Home, role: str, password: str, database: str = DATABASE) -> str:
        """A libpq URL, as asyncpg, psycopg and DuckDB take it."""
        user = f"{role}:{password}"
        if self.postgres_port is None:
            place = f"host={quote(str(home.postgres))}&port={SOCKET_PORT}"
            return f"postgresql://{user}@/{database}?{place}"
        return f"postgresql://{user}@127.0.0.1:{self.postgres_port}/{database}?sslmode=disable"

    def redis_url(self, home: Home, credentials: Credentials) -> str:
        """A URL as redis-py takes it."""
        if self.valkey_port is None:
            return f"unix://:{credentials.valkey}@{quote(str(valkey_socket(home)))}"
        return f"redis://:{credentials.valkey}@127.0.0.1:{self.valkey_port}/0"

    def silent(self, home: Home) -> str | None:
        """The name of a server that takes no connection, or None when both do."""
        if not _connects(self.postgres_address(home)):
            return "Postgres"
        if not _connects(self.valkey_address(home)):
            return "Valkey"
        return None

    def postgres_address(self, home: Home) -> Path | int:
        """Postgres's socket or port."""
        return self.postgres_port or postgres_socket(home)

    def valkey_address(self, home: Home) -> Path | int:
        """Valkey's socket or port."""
        return self.valkey_port or valkey_socket(home)


def postgres_socket(home: Home) -> Path:
    """Where Postgres puts its socket in its directory."""
    return home.postgres / f".s.PGSQL.{SOCKET_PORT}"


def valkey_socket(home: Home) -> Path:
    """Valkey's socket."""
    return home.valkey / "valkey.sock"


def connect(address: Path | int, seconds: float = _ANSWER_SECONDS) -> socket.socket:
    """A bare connection to a server.

    Raises:
        OSError: Nobody listens there.
    """
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), seconds)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(seconds)
        connection.connect(os.fspath(address))
    except BaseException:
        connection.close()
        raise
    return connection


def _connects(address: Path | int) -> bool:
    try:
        connect(address).close()
    except OSError:
        return False
    return True


def _free_ports() -> tuple[int, int]:
    """Two ports that are free now. Both are held until both are known, so they differ."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
