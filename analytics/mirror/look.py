"""What a question needs to see of Postgres, in one snapshot.

May the mirror be believed, and what lies at or above its tidemark?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

import pyarrow as pa
from psycopg import sql

from analytics.mirror.columns import SCHEMA, Connection, read, read_counted
from analytics.mirror.errors import MirrorUnavailable
from analytics.mirror.history import snapshot
from analytics.mirror.prepared import tail_size
from analytics.mirror.state import State, check
from analytics.sessions import GRACE, Sessions

MOST_EVENTS: Final = 200_000
"""A longer tail, of all projects together, is not looked through: sync first, or ask elsewhere."""

_END: Final = sql.SQL("rollback")


class TailTooLong(MirrorUnavailable):
    """So much lies above the mirror's tidemark that a sync should come first."""

    code = "tail_too_long"


@dataclass(frozen=True, slots=True)
class Look:
    """What one snapshot says of a project above the tidemark; good while the snapshot is open.

    Attributes:
        as_of: UTC instant of the snapshot.
        rows, removals: how many of the project's events came, and how many went.
        checkpoint: of Postgres, the latest: see `Facts`.
    """

    as_of: datetime
    rows: int
    removals: int
    checkpoint: str
    _connection: Connection
    _horizon: int
    _project_id: int
    _tail: pa.Table | None

    @property
    def above(self) -> tuple[int, int, str]:
        """What lies above the tidemark: two looks at one tidemark with the same see the same."""
        return self.rows, self.removals, self.checkpoint

    @property
    def numbers(self) -> Self:
        """The same without events that were read already, to be kept for others."""
        return replace(self, _tail=None)

    def added(self, columns: Sequence[str]) -> pa.Table:
        """The project's events at or above the tidemark, with `project_id` and these of SCHEMA.

        Each column costs Postgres a tenth of a microsecond a row or two.
        """
        if self._tail is not None:
            found = self._tail.select(columns)
        elif self.rows:
            found, _ = _tail(self._connection, self._horizon, self._project_id, columns)
        else:
            found = _none(columns)
        return self._of_project(found)

    def removed(self, columns: Sequence[str]) -> pa.Table:
        """As `added`, those below the tidemark that were removed at or above it."""
        found = _none(columns)
        if self.removals:
            parameters = {"horizon": self._horizon, "project_id": self._project_id}
            found = read(self._connection, "tail_removed", parameters, columns)
        return self._of_project(found)

    def _of_project(self, found: pa.Table) -> pa.Table:
        projects = pa.repeat(pa.scalar(self._project_id, pa.int32()), len(found))
        return found.add_column(0, SCHEMA.field("project_id"), projects)


def _tail(
    connection: Connection, horizon: int, project_id: int, columns: Sequence[str]
) -> tuple[pa.Table, int]:
    """The project's events, and how many all projects have, up to one too many."""
    parameters = {"horizon": horizon, "project_id": project_id, "most": MOST_EVENTS + 1}
    return read_counted(connection, "tail", parameters, columns)


def _none(columns: Sequence[str]) -> pa.Table:
    return pa.schema([SCHEMA.field(each) for each in columns]).empty_table()


@contextmanager
def look(
    sessions: Sessions,
    state: State,
    project_id: int,
    timeout: timedelta,
    *,
    numbers_alone: bool = False,
    columns: Sequence[str] = (),
) -> Iterator[Look]:
    """A look at the Postgres that the mirror in this state belongs to.

    Of `numbers_alone` the snapshot has ended when the block begins, for nothing more is to be read:
    that spares a round trip. With `columns` the project's new events are read at once, these of
    SCHEMA, and no others can be asked of the look: that spares to count them before.

    Raises:
        HistoryBroken: it belongs to another.
        TailTooLong: more than MOST_EVENTS came or went, of all projects together.
        psycopg.Error: what Postgres says.
    """
    most = MOST_EVENTS + 1
    size = tail_size(state.horizon, project_id, 1 if columns else most, most)
    more = (size, _END) if numbers_alone else (size,)
    with snapshot(sessions, state.mirror_id, timeout, *more, limit=timeout + GRACE) as (
        connection,
        facts,
        [sizes],
    ):
        check(facts, state)
        all_rows, rows, all_removals, removals = sizes
        tail = None
        if columns and all_rows:
            tail, all_rows = _tail(connection, state.horizon, project_id, columns)
            rows = len(tail)
        if max(all_rows, all_removals) > MOST_EVENTS:
            raise TailTooLong(
                f"more than {MOST_EVENTS} events lie above the mirror's tidemark", cause="tail"
            )
        yield Look(
            facts.as_of,
            rows,
            removals,
            facts.checkpoint,
            connection,
            state.horizon,
            project_id,
            tail,
        )
