"""All the looks, in the order in which their findings are worth reading."""

from __future__ import annotations

from collections.abc import Iterator

from app.doctor.finding import Finding
from app.doctor.machine import look_at_disks, look_at_settings
from app.doctor.mirror import look_at_mirrors
from app.doctor.postgres import look_at_postgres
from app.doctor.redis import look_at_redis
from app.servers import Servers
from app.settings import Settings


def examined(settings: Settings, found: Servers) -> Iterator[Finding]:
    """Every finding; what fails in one look doesn't keep the others from being made."""
    yield from look_at_settings(settings, found)
    yield from look_at_postgres(found)
    yield from look_at_redis(found)
    yield from look_at_disks(settings, found)
    yield from look_at_mirrors(settings)
