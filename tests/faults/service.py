"""`tidemark serve` as a process that can be killed and started again at the same address."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.cli.test_up import TIDEMARK

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answered; status 0 where it didn't."""

    status: int
    body: Any
    engine: str = ""
    reason: str = ""
    retry_after: str = ""
    seconds: float = 0.0


class Service:
    """One `tidemark serve`, at a port that stays its own."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        keys: dict[str, Headers],
        command: Sequence[str] = (TIDEMARK,),
    ) -> None:
        self.command = command
        self.environment = dict(environment)
        self.log = log
        self.keys = keys
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Starts it and waits for nothing, as what restarts a container does."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, "serve", "--port", str(self.port)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self, seconds: float = 60) -> None:
        """Starts it and waits until it is ready and its mirror answers."""
        self.begin()
        self.until(lambda: self.readiness().get("status") == "ready", seconds)
        self.until(lambda: self.readiness()["parts"]["mirror"] == "ok", seconds)

    def until(self, holds: Any, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.said()
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(40)
        assert code in {0, 143, -signal.SIGTERM}, (code, self.said())

    def end(self) -> None:
        """Whatever it does; for the end of a test."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def files_of_at_most(self, size: int) -> None:
        """From now on none of its files can grow past so many bytes (-1: no limit)."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def memory_of_at_most(self, more: int | None) -> None:
        """From now on it gets so many bytes of addresses more than it has (None: no limit)."""
        pid = self.process.pid
        limit = resource.RLIM_INFINITY
        if more is not None:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + more
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

    def workers(self) -> list[int]:
        """The pids of the processes that serve, where it keeps several."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-6_000:]

    def logged(self, event: str, cause: str) -> bool:
        """Whether its log has such an event of the mirror, for this cause."""
        return any(line.get("cause") == cause for line in self.lines(event))

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log about such an event."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [found for found in map(json.loads, lines) if found["event"] == event]

    def readiness(self) -> dict[str, Any]:
        reply = self.get("/readyz", {}, 3)
        return reply.body if isinstance(reply.body, dict) else {}

    def get(self, path: str, headers: Headers | None = None, seconds: float = 20) -> Reply:
        return self.request(
            "GET", path, None, self.keys["read"] if headers is None else headers, seconds
        )

    def send(self, events: list[dict[str, str]], seconds: float = 20) -> Reply:
        headers = {**self.keys["ingest"], "Content-Type": "application/json"}
        return self.request("POST", "/api/events", json.dumps(events).encode(), headers, seconds)

    def request(
        self, method: str, path: str, body: bytes | None, headers: Headers, seconds: float
    ) -> Reply:
        """One request on a connection of its own; whatever goes wrong on the way is status 0."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        began = time.monotonic()
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
            return Reply(
                answer.status,
                json.loads(content) if content else None,
                answer.getheader("Tidemark-Engine", ""),
                answer.getheader("Tidemark-Reason", ""),
                answer.getheader("Retry-After", ""),
                time.monotonic() - began,
            )
        except (HTTPException, OSError) as error:
            took = time.monotonic() - began
            return Reply(0, f"{method} {path}: {type(error).__name__}: {error}", seconds=took)
        finally:
            connection.close()

    def metric(self, pattern: str) -> float:
        """The sum of the metrics whose lines begin with this."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.environment['METRICS_TOKEN']}"}
        try:
            connection.request("GET", "/metrics", headers=headers)
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        found = re.findall(rf"^{pattern}[^\n]* (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))
