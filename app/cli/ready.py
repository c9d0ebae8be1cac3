"""Servers that a command can work with at once: running, and with an up-to-date schema."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.database.migrate import require_current, upgrade
from app.database.pooling import require_sessions
from app.servers import Servers, servers
from app.settings import Settings


@contextmanager
def ready_servers(
    settings: Settings | None = None, *, wait_for_guests: bool = True
) -> Iterator[Servers]:
    """The servers of the settings.

    Local ones are migrated first: they are ours, and nobody else would.

    Given ones are only looked at; `tidemark migrate` is their owner's decision. `wait_for_guests`
    as in `servers`.

    Raises:
        SchemaDiffers: The given database has another schema, or none.
        SessionsShared: A pooler stands between, and pools by something else than sessions.
    """
    with servers(settings or Settings(), wait_for_guests=wait_for_guests) as found:
        if found.local:
            upgrade(found.owner)
        else:
            asyncio.run(require_current(found.writer))
            require_sessions(found.writer)
        yield found
