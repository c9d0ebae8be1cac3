"""Stands between asyncpg and Postgres, and does what networks and servers do at their worst."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, urlsplit

from app.local.instance import connect

Lost = Literal["request", "answer", "caller"]


class Proxy:
    """Loses one COMMIT, Postgres's answer to it, or the caller before Postgres is done with it.

    Or hangs, and passes nothing on, either way.

    Attributes:
        url: the way to Postgres by this.
        commits: how many were asked for.
        lose: which of them is lost, from 1, or which one's answer or caller; the connection ends
            with it.
        hang_behind: hangs once Postgres has said that it has done this.
    """

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        user = parts.netloc.partition("@")[0]
        self.url = f"postgresql://{user}@{parts.path}?host={folder}&port=5432"
        self.commits = 0
        self.lose: tuple[int, Lost] | None = None
        self.hang_behind: bytes | None = None
        sockets = parse_qs(parts.query).get("host", [""])[0]
        self._upstream = parts.port or Path(sockets) / ".s.PGSQL.5432"
        self._path = folder / ".s.PGSQL.5432"
        self._open = True
        self._passing = threading.Event()
        self._passing.set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.go_on()
        for thread in self._threads:
            thread.join(10)

    def close(self) -> None:
        """Takes no more connections."""
        self._open = False
        self._path.unlink(missing_ok=True)

    @property
    def hangs(self) -> bool:
        return not self._passing.is_set()

    def hang(self) -> None:
        self._passing.clear()

    def go_on(self) -> None:
        self.hang_behind = None
        self._passing.set()

    def _start(self, target: Callable[..., None], *values: object) -> None:
        self._threads.append(threading.Thread(target=target, args=values))
        self._threads[-1].start()

    def _accept(self) -> None:
        with self._listener:
            while self._open:
                if select.select([self._listener], [], [], 0.02)[0]:
                    self._start(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        # Either side may be gone before this goes on.
        with suppress(OSError), client, connect(self._upstream) as server:
            server.settimeout(None)
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    lost = self._lost(data) if source is client else None
                    if not data or lost == "request":
                        return
                    self._passing.wait()
                    (server if source is client else client).sendall(data)
                    if self.hang_behind and self.hang_behind + bytes(1) in data:
                        self.hang()
                    if lost == "caller":
                        client.close()
                    if lost:
                        server.recv(1)  # now it is committed
                        return

    def _lost(self, data: bytes) -> Lost | None:
        if b"COMMIT;" not in data:
            return None
        self.commits += 1
        return self.lose[1] if self.lose and self.lose[0] == self.commits else None
