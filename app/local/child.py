"""One server process: it can't outlive this process, and is stopped with patience that ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.local.account import Account
from app.local.errors import NotMainThread, ServerFailed, with_log
from app.local.log import Log
from app.local.signals import signals_deferred

logger = logging.getLogger(__name__)

_LAUNCHER = Path(__file__).with_name("launcher.py")
_KILL_SECONDS = 10.0
# What a server may inherit: how to find libraries and where temporary files go. PGPORT, PGOPTIONS,
# LC_ALL, TZ and the like would change what it does.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


# Signals with the seconds each is given, gentlest first. SIGKILL follows by itself.
Stopping = tuple[tuple[signal.Signals, float], ...]


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: display name, command, working directory, log, and how it is asked to stop.

    The first signal of `stopping` is also what the kernel sends when this process dies.
    """

    name: str
    command: tuple[str | Path, ...]
    directory: Path
    log: Log
    stopping: Stopping


class Child:
    """A program as a child of this process.

    Making the object and starting the program are two steps, so that whoever has to stop it knows
    it before a Ctrl-C can come in between.
    """

    def __init__(self, program: Program, account: Account | None) -> None:
        """The program will run as `account` (None: as the caller)."""
        self._program = program
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, stdin: bytes = b"") -> None:
        """Start it, with `stdin` to read.

        It gets a session of its own, so that a Ctrl-C in the terminal reaches this process alone,
        which then stops its servers in order.

        Raises:
            NotMainThread: The kernel would stop the server when the calling thread ends, not when
                the process does.
        """
        if threading.current_thread() is not threading.main_thread():
            raise NotMainThread
        program = self._program
        with signals_deferred(), program.log.open() as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [*self._launcher(), *program.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=program.directory,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,
            )
            # A program that died before reading says so in its log and by its exit code, which
            # the caller looks at.
            with contextlib.suppress(BrokenPipeError), self._pipe as pipe:
                pipe.write(stdin)

    @property
    def pid(self) -> int:
        """The server's process id (the launcher becomes the server)."""
        return self._started.pid

    @property
    def alive(self) -> bool:
        """Whether it runs; reaps it when it has ended."""
        return self._process is not None and self._process.poll() is None

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None when it still runs after `seconds`."""
        try:
            return self._started.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def require_alive(self) -> None:
        """Check that it still runs.

        Raises:
            ServerFailed: It has ended; the message quotes its log.
        """
        if not self.alive:
            code = self._started.returncode
            raise self.failure(f"{self._program.name} did not start (exit code {code})")

    def failure(self, sentence: str) -> ServerFailed:
        """An error that quotes this program's log."""
        log = self._program.log
        return ServerFailed(with_log(sentence, log.path, log.tail()))

    def ask_to_stop(self) -> None:
        """Send the gentlest signal and don't wait, so that servers can stop side by side."""
        if self.alive:
            self._started.send_signal(self._program.stopping[0][0])
        elif self._process is not None:
            code = self._process.returncode
            logger.warning("local.server.had_ended name=%s exit_code=%s", self._program.name, code)

    def stop(self) -> None:
        """Stop it, by harder means each time the patience for one has run out, and reap it."""
        for number, seconds in (*self._program.stopping, (signal.SIGKILL, _KILL_SECONDS)):
            if not self.alive:
                return
            self._started.send_signal(number)
            if self.wait(seconds) is not None:
                return
            name = self._program.name
            logger.warning("local.server.ignores_signal name=%s signal=%s", name, number.name)

    @property
    def _pipe(self) -> IO[bytes]:
        """The program's standard input."""
        pipe = self._started.stdin
        assert pipe is not None  # noqa: S101 - asked for when it was started
        return pipe

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None  # noqa: S101 - a mistake of ours, not of the user's
        return self._process

    def _launcher(self) -> list[str]:
        """The command that turns into the program; see launcher.py."""
        account, death_signal = self._account, int(self._program.stopping[0][0])
        user = ("-", "-") if account is None else (str(account.uid), str(account.gid))
        python = [sys.executable, "-I", "-S", str(_LAUNCHER)]
        return [*python, str(os.getpid()), str(death_signal), *user]
