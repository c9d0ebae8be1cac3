"""How Alembic reaches the database: through asyncpg, one upgrade at a time.

The address comes from the caller (`config.attributes["url"]`) or, on the `alembic` command line,
from DATABASE_URL. Several upgrades may start at once (replicas, a migrate job beside a server): the
first to take the advisory lock does the work, the others wait for it and then find nothing left to
do.
"""

from __future__ import annotations

import asyncio
import os
import warnings

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.exc import SAWarning

from app.database.pools import sqlalchemy_engine
from app.database.tables import metadata

# "tide" in ASCII; any constant does, as long as every version of Tidemark uses the same.
UPGRADE_LOCK = 0x74696465

config = context.config


def _url() -> str:
    url = config.attributes.get("url") or os.environ.get("DATABASE_URL")
    if not url:
        message = (
            "No database to migrate: set DATABASE_URL=postgresql://user:password@host/database."
        )
        raise SystemExit(message)
    return str(url)


def _partitions(connection: Connection) -> set[str]:
    return set(connection.scalars(text("select relname from pg_class where relispartition")))


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        # The owner's own choice (docs/growth.md): they follow the table that they belong to.
        include_name=lambda name, kind, _: kind != "table" or name not in _partitions(connection),
    )
    with context.begin_transaction(), warnings.catch_warnings():
        # SQLAlchemy 2.1.9 reflects NOT VALID as an option that its own CheckConstraint doesn't
        # know.
        warnings.filterwarnings("ignore", "Can't validate argument 'dialect_options'", SAWarning)
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        # Whoever comes after us waits behind us: give up soon, let them through, try again.
        milliseconds = str(config.attributes.get("lock_milliseconds", 2_000))
        connection.execute(
            text("select set_config('lock_timeout', :most, true)"), {"most": milliseconds}
        )
        context.run_migrations()


async def _run_online() -> None:
    engine = sqlalchemy_engine(_url(), pooled=False)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


def _run_offline() -> None:
    context.configure(
        dialect_name="postgresql",
        target_metadata=metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _run_offline()
else:
    asyncio.run(_run_online())
