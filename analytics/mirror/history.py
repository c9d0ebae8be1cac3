"""Is this the Postgres that the mirror was built from, and may its transaction numbers be compared?

A number means nothing in another history. So the mirror keeps who it was built from, and every
sync and every question compares that with what Postgres says in the very snapshot they read:

| what changes                    | when                                                    |
|---------------------------------|---------------------------------------------------------|
| system_identifier               | another cluster, pg_upgrade, a dump restored elsewhere  |
| timeline                        | a promoted replica, recovery to a point in time         |
| database_oid, events_oid        | another database; a table restored or made anew         |
| epoch                           | TRUNCATE, `tidemark restore`                            |
| events_definition               | DDL that rewrote the table, or passed by its triggers;  |
|                                 | a partition that came, went or was put back             |
| the lease's tokens              | a data directory put back as it was some time ago       |
| xmin below the tidemark         | the counter itself went back                            |
| removed_floor above the tidemark| removals that this mirror hasn't seen are pruned        |
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import sql

from analytics.mirror import prepared
from analytics.mirror.columns import Connection
from analytics.mirror.errors import HistoryBroken, MirrorUnavailable
from analytics.sessions import Sessions

# One round trip. The lock comes before the snapshot: else a TRUNCATE could slip between the look at
# the epoch and the look at the rows. A scan of the table must never look cheaper than the index,
# which it does to a planner that has no statistics yet.
_BEGIN: Final[LiteralString] = """/* tidemark mirror begin */
begin isolation level repeatable read, read only;
set local statement_timeout = {milliseconds};
set local enable_seqscan = off;
set local max_parallel_workers_per_gather = 0;
set local jit = off;
set local plan_cache_mode = force_generic_plan;
lock table events in access share mode"""


class History(NamedTuple):
    """Everything that has to stay the same for transaction numbers to mean the same."""

    system_identifier: str
    timeline: str
    database_oid: int
    events_oid: int
    epoch: UUID
    events_definition: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What Postgres says of itself in one snapshot.

    Attributes:
        history: who it is.
        removed_floor: removals by transactions below this may be pruned already.
        xmin: every transaction below it is settled: committed and seen here, or gone for good.
        xmax: every transaction that had committed before `as_of` is below it.
        as_of: UTC instant of the snapshot, by the clock of Postgres.
        checkpoint: the latest; while it is the same, no crash has taken anything back.
        tokens: what the mirror's lease knows, the latest first; empty without a lease.
    """

    history: History
    removed_floor: int
    xmin: int
    xmax: int
    as_of: datetime
    checkpoint: str
    tokens: tuple[UUID, ...]


@contextmanager
def snapshot(
    sessions: Sessions,
    mirror_id: UUID,
    timeout: timedelta,
    *more: sql.Composable,
    limit: timedelta | None = None,
) -> Iterator[tuple[Connection, Facts, list[tuple[Any, ...]]]]:
    """One read-only snapshot of Postgres: a connection inside it, its facts, the rows of `more`.

    `more` are statements of one row each, sent along in the same round trip. `timeout` is each
    statement's, `limit` the whole block's. The snapshot ends with the block.

    Raises:
        MirrorUnavailable: the server is in recovery.
        HistoryBroken: its triggers are not what they must be.
        psycopg.Error: what Postgres says.
    """
    milliseconds = max(1, round(timeout.total_seconds() * 1000))
    begin = sql.SQL(_BEGIN).format(milliseconds=sql.Literal(milliseconds))
    history = prepared.history(mirror_id)
    with sessions.connection(limit) as connection:
        prepared.prepare(connection)
        try:
            cursor = connection.execute(sql.SQL(";\n").join([begin, history, *more]))
            found = [row for result in cursor.results() for row in _rows(result)]
            yield connection, _facts(found[0]), found[1:]
        finally:
            if not connection.closed:
                connection.rollback()


def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    return list(cursor.fetchall()) if cursor.description else []


def _facts(row: tuple[Any, ...]) -> Facts:
    *history, floor, xmin, xmax, as_of_us, checkpoint, token, previous_token, unguarded = row
    found = History(*history)
    if found.timeline is None:
        raise MirrorUnavailable(
            "the server is in recovery, and a replica doesn't tell which transactions are settled; "
            "give the address of the primary",
            cause="recovery",
        )
    if unguarded:
        raise HistoryBroken(
            f"{unguarded} triggers on events or its partitions are missing or not enabled ALWAYS, "
            "so removals may pass unseen; `tidemark doctor` names the next step",
            cause="triggers",
        )
    return Facts(
        found,
        floor,
        xmin,
        xmax,
        datetime.fromtimestamp(0, UTC) + timedelta(microseconds=as_of_us),
        checkpoint,
        tuple(each for each in (token, previous_token) if each is not None),
    )
