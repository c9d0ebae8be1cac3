"""What a question sees of a project: the file as it is, and what came and went above its tidemark.

What came and went is looked up once for all questions that see the same: a page of charts asks
several at a time, and while a long transaction holds the tidemark back, what lies above it stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Self

import pyarrow as pa

from analytics.duck import written
from analytics.mirror.calendars import Calendar
from analytics.mirror.known import Known
from analytics.mirror.look import Look
from analytics.mirror.lookup import Lookup
from analytics.mirror.state import State
from analytics.mirror.store import Cursor
from analytics.mirror.users import Users

_CALENDAR: Final = """/* tidemark mirror calendar */
select timezone, week_start, tzdata, changed_at from calendars where project_id = $project_id"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one question sees of a project.

    Attributes:
        state: that of the file.
        calendar: of the roll-ups; None if the file has no event of the project.
        changed_at: the tidemark of the project's latest change in the file.
        users: people in memory, as of this state or of another.
        look: what lies above in Postgres, if it was looked at.
        found: what that changes, by question, as far as one needed it; see `added`.
    """

    state: State
    calendar: Calendar | None
    changed_at: int
    users: Users
    look: Look | None = None
    found: dict[str, pa.Table] = field(default_factory=dict)

    def with_look(self, look: Look | None) -> Self:
        """The same after another look; what was found stays where nothing has changed since."""
        same = look and self.look and look.above == self.look.above
        return replace(self, look=look, found=self.found if same else {})

    def lookup(self, cursor: Cursor) -> Lookup:
        """Who people are in the file, which the cursor sees in this state."""
        return Lookup(cursor, self.state, self.users)

    @property
    def has_changes(self) -> bool:
        """Whether anything came or went above the tidemark."""
        return self.look is not None and bool(self.look.rows or self.look.removals)

    @property
    def data_version(self) -> str | None:
        """The same text as long as nothing of the project changes that a question could see.

        With nothing above the tidemark it is the file and the tidemark of the project's latest
        change in it. Else it is the tidemark itself with what came and went above it: below one
        tidemark each change of the project adds at least one to rows + 2 * removals. The project's
        latest change won't do there: an event that came and went between two tidemarks leaves none.
        And the checkpoint: where commits don't wait for the disk, a crash may take back what came
        above the tidemark, and never what lies below. Not known without a look.
        """
        if self.look is None:
            return None
        file = self.state.mirror_id.hex
        if not self.has_changes:
            return f"{file}.{self.changed_at}.0.0"
        return ".".join(map(str, (file, self.state.horizon, *self.look.above)))


def last_seen(known: Known | None, project_id: int) -> Seen | None:
    """What was last seen of a project in the present state of the file, if anything was."""
    return known.projects.get(project_id) if known else None


def first_seen(cursor: Cursor, state: State, users: Users, project_id: int) -> Seen:
    """What the file says of a project."""
    row = cursor.execute(written(_CALENDAR, {"project_id": project_id})).fetchone()
    *calendar, changed_at = row or (None, 0)
    return Seen(state, Calendar(*calendar) if row else None, changed_at, users)
