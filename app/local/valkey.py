"""The local Valkey: sessions, limits and short-lived state, kept in an append-only file."""

from __future__ import annotations

import signal
import time

from app.local.account import Account
from app.local.binaries import valkey_binary
from app.local.child import Child, Program
from app.local.credentials import Credentials
from app.local.errors import ServerSlow, with_log
from app.local.home import Home
from app.local.instance import Instance, connect, valkey_socket
from app.local.leftovers import stop_leftovers
from app.local.log import Log
from app.local.options import ServerOptions

_POLL_SECONDS = 0.005


class Valkey:
    """The Valkey of one data directory."""

    def __init__(self, home: Home, account: Account | None, options: ServerOptions) -> None:
        self._home = home
        self._account = account
        self._options = options
        self._log = Log(home.logs / "valkey.log")
        self._stopping = ((signal.SIGTERM, options.stop_seconds),)
        self._child: Child | None = None

    def clear_leftovers(self) -> None:
        """Stop what a killed run left running. A socket left behind Valkey removes by itself."""
        stop_leftovers("valkey-server", self._home.valkey, self._stopping)

    def start(self, instance: Instance, credentials: Credentials) -> None:
        """Start the server; `wait_ready` waits for it.

        The configuration goes in by standard input: command lines can be read by every user of the
        machine, and a file would be one more place with a password in it. The directory is on the
        command line for `leftovers`.
        """
        command = (valkey_binary(), "-", "--dir", self._home.valkey)
        program = Program("Valkey", command, self._home.valkey, self._log, self._stopping)
        self._child = Child(program, self._account)
        self._child.start(self._configuration(instance, credentials).encode())

    def wait_ready(self, instance: Instance, credentials: Credentials) -> None:
        """Wait until Valkey has read its file back and answers.

        Raises:
            ServerFailed: It ended instead.
            ServerSlow: It isn't ready after `start_seconds`.
        """
        assert self._child is not None  # noqa: S101 - start() comes first
        end = time.monotonic() + self._options.start_seconds
        while not self._answers(instance, credentials):
            self._child.require_alive()
            if time.monotonic() > end:
                sentence = f"Valkey isn't ready after {self._options.start_seconds:g} seconds"
                raise ServerSlow(with_log(sentence, self._log.path, self._log.tail()))
            time.sleep(_POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """Begin the shutdown."""
        if self._child is not None:
            self._child.ask_to_stop()

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        if self._child is not None:
            self._child.stop()

    def _answers(self, instance: Instance, credentials: Credentials) -> bool:
        """Whether it answers PING with PONG. While it loads its file it answers with an error."""
        try:
            with connect(instance.valkey_address(self._home)) as connection:
                connection.sendall(f"AUTH {credentials.valkey}\r\nPING\r\nQUIT\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(1024), b""))
        except OSError:
            return False
        return b"+PONG" in answer

    def _configuration(self, instance: Instance, credentials: Credentials) -> str:
        """The configuration file, in Valkey's format."""
        settings = {
            "port": str(instance.valkey_port or 0),
            "bind": "127.0.0.1",
            "requirepass": credentials.valkey,
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if self._options.durable else "no",
            "appendfsync": "everysec",
            "auto-aof-rewrite-min-size": "16mb",
            # Losing a session silently would log somebody out or let a limit be passed; a full
            # server refuses instead.
            "maxmemory-policy": "noeviction",
            # The title Valkey gives itself would hide the command line that `leftovers` looks for.
            "set-proc-title": "no",
        }
        if instance.valkey_port is None:
            settings |= {"unixsocket": str(valkey_socket(self._home)), "unixsocketperm": "700"}
        return "".join(f"{name} {_quoted(value)}\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
