"""SQL of an analyst's own, over views with human names: one statement that only reads.

It is for whoever runs this process and may read the database anyway; no server ever hands a
statement from the network to it. What it keeps an honest person from: changing a mirror, reading or
writing files, reaching other machines, running for ever. Views, of one project each:

| view         | a row                                                                  |
|--------------|------------------------------------------------------------------------|
| events       | an event: occurred_at (UTC), day, event_type, user_id                  |
| users        | a user, and the local day of their first event ever: user_id, first_day |
| user_days    | a user's day: day, user_id, events                                     |
| event_counts | a local day's events of one type: day, event_type, events              |
| active_users | the users active in a period: grain, period, users                     |
| cohort_users | of those first seen in cohort, the users active in a period: grain,     |
|              | cohort, period, users                                                  |

A grain is 'day', 'week' or 'month'; periods and cohorts are named by their first day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import duckdb
import pyarrow as pa

from analytics.deadline import deadline
from analytics.duck import identifier
from analytics.errors import DeadlineExceeded, InvalidSql
from analytics.events import ProjectId

MOST_BYTES: Final = 1 << 30
"""How large an answer may be: it is held in memory, on top of what DuckDB may use."""

_VIEWS: Final[Mapping[str, str]] = {
    "events": """
        select occurred_at, date '1970-01-01' + day as day, event_type, user_id
        from {main}.events
        join {main}.users using (user_key) join {main}.event_types using (type_key)
        where {main}.events.project_id = {project_id}""",
    "users": """
        select user_id, date '1970-01-01' + first_day as first_day
        from {main}.users where project_id = {project_id} and first_day is not null""",
    "user_days": """
        select date '1970-01-01' + day as day, user_id, sum(events)::bigint as events
        from (from {main}.user_days union all from {main}.recent_user_days) as all_days
        join {main}.users using (user_key)
        where all_days.project_id = {project_id} group by all having sum(events) > 0""",
    "event_counts": """
        select date '1970-01-01' + day as day, event_type, sum(events)::bigint as events
        from {main}.type_counts
        where project_id = {project_id} group by all having sum(events) > 0""",
    "active_users": """
        select grain, date '1970-01-01' + period as period, sum(users)::bigint as users
        from {main}.active_counts
        where project_id = {project_id} group by all having sum(users) > 0""",
    "cohort_users": """
        select
            grain, date '1970-01-01' + cohort as cohort, date '1970-01-01' + period as period,
            sum(users)::bigint as users
        from {main}.cohort_counts
        where project_id = {project_id} group by all having sum(users) > 0""",
}  # fmt: skip

_READING: Final = duckdb.StatementType.SELECT
_EXPLAINING: Final = duckdb.StatementType.EXPLAIN
# Table functions that do something; `select` can call them.
_DOING: Final = re.compile(
    r'\b((?:force_)?checkpoint|(?:en|dis)able_logging)"?\s*\(', re.IGNORECASE
)


def run(
    cursor: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    project_id: ProjectId,
    limit: timedelta,
) -> pa.Table:
    """The rows of one statement, in a transaction that the caller rolls back.

    `parameters` are the values for `?` or for `$name`.

    Raises:
        InvalidSql: it isn't one statement that only reads, or DuckDB refuses it.
        DeadlineExceeded: it ran for longer than `limit`.
    """
    _require_reading(cursor, sql)
    _define_views(cursor, project_id)
    try:
        with deadline(cursor, limit):
            reader = cursor.execute(sql, parameters).to_arrow_reader()
            return _read(reader)
    except duckdb.InterruptException as error:
        raise DeadlineExceeded(
            f"the statement ran past its {limit.total_seconds():g} s; "
            "ask for less, or connect with a longer timeout_seconds"
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise InvalidSql(
            f"the statement needs more memory than it may have ({_gist(error)}); ask for less, or "
            "connect with other limits"
        ) from error
    except (duckdb.Error, pa.ArrowException) as error:
        raise InvalidSql(f"the statement can't be run: {_gist(error)}{_known(error)}") from error


def _require_reading(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        statements = cursor.extract_statements(sql)
    except duckdb.Error as error:
        raise InvalidSql(f"the statement can't be read: {_gist(error)}") from error
    kinds = [each.type for each in statements]
    if kinds == [_EXPLAINING]:
        explained = sql.strip()[len("explain") :].strip()
        if explained.lower().startswith("analyze"):
            explained = explained[len("analyze") :]
        kinds = [each.type for each in cursor.extract_statements(explained)]
    if kinds != [_READING]:
        told = " and ".join(str(kind).rpartition(".")[2] for kind in kinds) or "nothing"
        raise InvalidSql(
            f"this is {told}, where one statement that reads is allowed; write one SELECT "
            f"over {', '.join(_VIEWS)}"
        )
    doing = _DOING.search(sql)
    if doing:
        raise InvalidSql(f"the statement calls {doing[1]}, which does more than read; leave it out")


def _define_views(cursor: duckdb.DuckDBPyConnection, project_id: ProjectId) -> None:
    """Temporary views, which only this cursor sees, in front of the tables of the same names."""
    [(database,)] = cursor.execute("select current_database()").fetchall()
    main = f"{identifier(database)}.main"
    for name, select in _VIEWS.items():
        text = select.format(main=main, project_id=f"{project_id:d}")
        cursor.execute(f"create or replace temporary view {name} as {text}")


def _read(reader: pa.RecordBatchReader) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > MOST_BYTES:
            raise InvalidSql(
                f"the answer is larger than {MOST_BYTES >> 20:,} MiB; count in SQL, or add a limit"
            )
    return pa.Table.from_batches(batches, schema=reader.schema)


def _gist(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _known(error: Exception) -> str:
    if isinstance(error, duckdb.CatalogException):
        return f" The views are {', '.join(_VIEWS)}."
    return ""
