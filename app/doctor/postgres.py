"""Postgres: reachable, new enough, the right schema, triggers, rights, and nothing in the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from app.database.migrate import newest_revision
from app.database.pooling import shares_sessions
from app.doctor.finding import Finding, connected, note, ok, problem
from app.servers import Servers

OLDEST: Final = 15
"""The oldest major version that the tests run against."""
CLOCK_SECONDS: Final = 2.0
LONG_SECONDS: Final = 600
_SESSION_POOLS: Final = "let PgBouncer pool by session (pool_mode = session), or go round it"
_FACTS: Final = """/* tidemark doctor facts */
select
    current_setting('server_version_num')::int / 10000, pg_is_in_recovery(), clock_timestamp(),
    current_setting('server_encoding'), current_setting('max_connections')::int,
    (select count(*)::int from pg_stat_activity where backend_type = 'client backend')"""
_TRIGGERS: Final = """/* tidemark doctor triggers */
select tables.oid::regclass::text, tables.oid <> 'events'::regclass, names.name, tgenabled is null
from
    (select 'events'::regclass as oid union select relid from pg_partition_tree('events')) as tables
    cross join unnest(array[
        'events_stamp_version', 'events_log_deleted', 'events_log_updated', 'events_start_epoch'
    ]) as names (name)
    left join pg_trigger on tgrelid = tables.oid and tgname = names.name
where tgenabled is distinct from 'A'
order by tables.oid, names.name"""
_RIGHTS: Final = """/* tidemark doctor rights */
select
    has_table_privilege('events', 'select'), has_column_privilege('events', 'event_id', 'insert'),
    has_column_privilege('events', 'ingest_xid', 'insert'), has_table_privilege('events', 'delete'),
    has_table_privilege('mirror_leases', 'insert'),
    (select rolsuper from pg_roles where rolname = current_user)"""
_HOLDERS: Final = """/* tidemark doctor holders */
select coalesce(extract(epoch from max(now() - xact_start)), 0)::int
from pg_stat_activity where backend_xid is not null
union all
select coalesce(extract(epoch from max(now() - prepared)), 0)::int from pg_prepared_xacts"""
_RESTORED: Final = """/* tidemark doctor restored */
select count(*) from (
    select from events where ingest_xid >= pg_snapshot_xmax(pg_current_snapshot()) limit 1000000
) as above"""


def look_at_postgres(found: Servers) -> Iterator[Finding]:
    """Everything about the database, as each of the roles sees it."""
    part = "postgres"
    try:
        with connected(found.writer) as connection:
            yield from _server(connection)
            yield from _schema(connection)
            yield from _writer(connection)
            yield from _in_the_way(connection)
    except psycopg.OperationalError as error:
        yield problem(
            part,
            f"Postgres does not let the writer in: {_line(error)}.",
            "start it, or correct DATABASE_URL",
        )
        return
    yield from _reader(found)
    if shares_sessions(found.writer) or shares_sessions(found.reader):
        yield problem(
            "pooler",
            "Something between here and Postgres gives one session to several clients.",
            _SESSION_POOLS,
        )


def _server(connection: psycopg.Connection) -> Iterator[Finding]:
    before = datetime.now(UTC)
    version, recovering, clock, encoding, most, now = _row(connection, _FACTS)
    between = before + (datetime.now(UTC) - before) / 2
    if version < OLDEST:
        yield problem("version", f"Postgres is {version}.", f"upgrade it to {OLDEST} or newer")
    else:
        yield ok("version", f"Postgres is {version}.")
    if recovering:
        yield problem(
            "primary",
            "Postgres is in recovery: a replica, which takes no events and tells no mirror what is"
            " settled.",
            "name the primary in DATABASE_URL and DATABASE_READER_URL, or promote this one",
        )
    if encoding != "UTF8":
        yield problem(
            "encoding", f"The database is encoded in {encoding}.", "make it anew with encoding UTF8"
        )
    apart = abs((clock - between).total_seconds())
    if apart > CLOCK_SECONDS:
        yield problem(
            "clock",
            f"The clocks of Postgres and of this machine are {apart:.0f} s apart.",
            "run a time service (chrony, systemd-timesyncd) on both",
        )
    else:
        yield ok("clock", f"Postgres and this machine agree on the time to {CLOCK_SECONDS:.0f} s.")
    if now > 0.8 * most:
        yield note(
            "connections",
            f"{now} of {most} connections are taken; each worker takes up to 30.",
            "raise max_connections, or serve with fewer workers",
        )


def _schema(connection: psycopg.Connection) -> Iterator[Finding]:
    needed = newest_revision()
    try:
        (revision,) = _row(connection, "select version_num from alembic_version")
    except psycopg.Error:
        revision = None
    if revision != needed:
        yield problem(
            "schema",
            f"The database has schema {revision or 'none'}, this version needs {needed}.",
            "run `tidemark migrate`",
        )
        return
    yield ok("schema", f"The database has schema {revision}.")
    yield _triggers(connection)
    (restored,) = _row(connection, _RESTORED)
    if restored:
        yield problem(
            "restored rows",
            f"{restored:,} events or more came with transaction numbers of another server; each"
            " question reads them apart.",
            "load backups with `tidemark restore`; for these: update events set project_id ="
            " project_id where ingest_xid >= pg_snapshot_xmax(pg_current_snapshot())",
        )


def _triggers(connection: psycopg.Connection) -> Finding:
    unguarded = connection.execute(_TRIGGERS.encode()).fetchall()
    if not unguarded:
        return ok("triggers", "All triggers on events are enabled ALWAYS.")
    table, is_partition, name, is_missing = unguarded[0]
    enable = f"as the owner: alter table {table} enable always trigger {name}"
    if is_missing:
        enable = (
            "as the owner: select events_guard_partitions(), see docs/growth.md"
            if is_partition
            else "restore the schema: its triggers are in the first migration"
        )
    return problem(
        "triggers",
        f"{len(unguarded)} triggers on events are missing or not enabled ALWAYS, {name} of {table}"
        " first: changes may pass the mirror by, so it isn't used.",
        enable,
    )


def _writer(connection: psycopg.Connection) -> Iterator[Finding]:
    try:
        reads, inserts, stamps, deletes, _, superuser = _row(connection, _RIGHTS)
    except psycopg.Error:
        return  # there are no tables yet, which has been said
    if not (reads and inserts and deletes):
        yield problem(
            "writer",
            "The role of DATABASE_URL may not read, insert or delete events.",
            "grant it tidemark_writer: grant tidemark_writer to ROLE",
        )
    elif superuser or stamps:
        yield note(
            "writer",
            "The role of DATABASE_URL may do more than it needs"
            + (": it is a superuser." if superuser else "."),
            "let migrations run by DATABASE_OWNER_URL, and name tidemark_writer in DATABASE_URL",
        )
    else:
        yield ok("writer", "The role of DATABASE_URL may do what it needs and no more.")


def _reader(found: Servers) -> Iterator[Finding]:
    try:
        with connected(found.reader) as connection:
            reads, inserts, _, deletes, leases, _ = _row(connection, _RIGHTS)
    except psycopg.errors.UndefinedTable:
        return
    except psycopg.Error as error:
        yield problem(
            "reader",
            f"Postgres does not let the reader in: {_line(error)}.",
            "correct DATABASE_READER_URL",
        )
        return
    if not (reads and leases):
        yield problem(
            "reader",
            "The role of DATABASE_READER_URL may not read events or keep a mirror's lease.",
            "grant it tidemark_reader: grant tidemark_reader to ROLE",
        )
    elif inserts or deletes:
        yield note(
            "reader",
            "Questions are asked by a role that may change events.",
            "give tidemark_reader a password and name it in DATABASE_READER_URL",
        )
    else:
        yield ok("reader", "The role of DATABASE_READER_URL reads and no more.")


def _in_the_way(connection: psycopg.Connection) -> Iterator[Finding]:
    (running,), (prepared,) = connection.execute(_HOLDERS).fetchall()
    for seconds, what, where in (
        (running, "A transaction has", "pg_stat_activity (backend_xid is not null)"),
        (prepared, "A prepared transaction has", "pg_prepared_xacts"),
    ):
        if seconds > LONG_SECONDS:
            yield problem(
                "long transaction",
                f"{what} been open for {seconds // 60} minutes; it holds the tidemark back, so"
                " exact answers get slower.",
                f"find it in {where}, and end it",
            )


def _row(connection: psycopg.Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101 - each of these queries has a row
    return row


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
