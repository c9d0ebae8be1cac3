"""The few choices there are about the local servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to run the servers; who joins running ones takes them as they are.

    Attributes:
        durable: False gives up safety against a crash of the machine, for tests: no fsync, no
            append-only file.
        max_connections: Postgres's limit on connections.
        shared_buffers_mb: Postgres's own cache, in MiB.
        start_seconds: How long a server may take to get ready (it may have to recover from a crash
            first), and how long to wait for another process that is starting or stopping them.
        stop_seconds: How long a server may take to stop before it is made to.
        wait_for_guests: Whether to keep the servers running at the end of the block while other
            processes use them.
        settings: More of Postgres's own settings by name, or others than Tidemark's choice.
    """

    durable: bool = True
    max_connections: int = 60
    shared_buffers_mb: int = 128
    start_seconds: float = 60.0
    stop_seconds: float = 30.0
    wait_for_guests: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
