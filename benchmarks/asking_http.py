"""Questions to a running server: one at a time, with the headers of its answers."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.serving import Serving

_PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the server: who gave it, under which ETag, and what it says."""

    engine: str | None
    etag: str | None
    body: bytes


class Asker:
    """A connection that is kept, with the key that may ask."""

    def __init__(self, server: Serving) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {server.read_key}"}

    def ask(self, path: str) -> Answered:
        """The answer to a GET.

        Raises:
            AssertionError: it is no 200; the message has what it says.
        """
        answered = self.tried(path)
        assert isinstance(answered, Answered), answered
        return answered

    def tried(self, path: str) -> Answered | str:
        """The answer to a GET, or what the refusal says."""
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            return f"{response.status} {body.decode()}"
        return Answered(response.getheader("Tidemark-Engine"), response.getheader("ETag"), body)

    def until_mirrored(self, path: str, expected: bytes | None = None) -> bytes:
        """Waits until the mirror alone gives the answer expected, which is returned; else SQL's.

        Raises:
            TimeoutError: it doesn't in two minutes.
        """
        expected = expected or self.ask(f"{path}&engine=postgres").body
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            answered = self.tried(f"{path}&engine=mirror&freshness=mirror")
            if isinstance(answered, Answered) and answered.body == expected:
                return expected
            time.sleep(0.05)
        raise TimeoutError(f"the mirror does not answer {path} as it should: {answered}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
