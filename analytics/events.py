"""What an event is: its columns and limits, the same for every loader, engine and database.

| column      | type                       | limits                      |
|-------------|----------------------------|-----------------------------|
| event_id    | UUID                       | unique within a project     |
| occurred_at | instant, microseconds, UTC | years 1 to 9999             |
| user_id     | text                       | 1 to 200 characters, no NUL |
| event_type  | text                       | 1 to 200 characters, no NUL |
| properties  | JSON object                | {} when absent              |
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NewType

ProjectId = NewType("ProjectId", int)

COLUMNS: Final = ("event_id", "occurred_at", "user_id", "event_type", "properties")
REQUIRED_COLUMNS: Final = ("event_id", "occurred_at", "user_id", "event_type")

MAX_TEXT_CHARACTERS: Final = 200
FIRST_INSTANT: Final = datetime(1, 1, 1, tzinfo=UTC)
LAST_INSTANT: Final = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
