"""What a load asks of an event beyond what every events table does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from analytics.events import ProjectId

MAX_PROPERTIES_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
"""Levels of objects and arrays, the properties themselves being the first."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of values, and how those are read that leave something open.

    Attributes:
        namespace: An event_id that is no UUID becomes uuid5(namespace, event_id); see
            `project_namespace`. None: such a row is rejected.
        zone: The zone of timestamps that name none. None: such a row is rejected.
        max_ahead: How far from now occurred_at may lie in the future. None: as far as it likes.
        max_properties_bytes: How long the JSON text of properties may be, in UTF-8.
        max_depth: How many levels of objects and arrays properties may have, themselves included;
            at most MAX_DEPTH.
        clock: The time now, in seconds since 1970 (UTC).
    """

    namespace: UUID | None = None
    zone: ZoneInfo | None = None
    max_ahead: timedelta | None = None
    max_properties_bytes: int = MAX_PROPERTIES_BYTES
    max_depth: int = MAX_DEPTH
    clock: Callable[[], float] = time.time


NO_RULES: Final = Rules()


def project_namespace(project_id: ProjectId) -> UUID:
    """The namespace of a project's event ids that are no UUIDs; any language can compute it."""
    return uuid5(NAMESPACE_URL, f"urn:tidemark:project:{project_id}")
