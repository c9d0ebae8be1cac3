"""The tables, for Alembic's comparison and for the statements of app.accounts.

What SQLAlchemy can't express (triggers, rights, the check on ingest_xid) stands in the migration
alone. The events table is written by `ingest` and read by `analytics` in plain SQL; neither imports
this module.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[str]):
    """Postgres's 64-bit transaction id. Read it as `::text::bigint`; it never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in DDL."""
        return "xid8"


# Without this entry reflection warns about an unknown type, and `alembic check` compares nothing.
ischema_names["xid8"] = Xid8

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _created_at() -> Column[Any]:
    return Column(
        "created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")
    )


def _exact_text(name: str) -> Column[Any]:
    """Text compared by code point: every engine sorts it alike, and indexes serve order too."""
    return Column(name, Text(collation="C"), nullable=False)


users = Table(
    "users",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("token_version", Integer, nullable=False, server_default=text("0")),
    _created_at(),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("timezone", Text, nullable=False, server_default=text("'UTC'")),
    Column("week_start", Text, nullable=False, server_default=text("'monday'")),
    _created_at(),
    Column("storage_days", Integer),
    CheckConstraint("char_length(name) between 1 and 100", name="name"),
    CheckConstraint("week_start in ('monday', 'sunday')", name="week_start"),
    CheckConstraint("storage_days between 1 and 36500", name="storage_days"),
)

members = Table(
    "members",
    metadata,
    Column("project_id", ForeignKey("projects.id", ondelete="cascade"), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="cascade"), primary_key=True),
    Column("role", Text, nullable=False),
    CheckConstraint("role in ('owner', 'member', 'viewer')", name="role"),
    Index(None, "user_id"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("project_id", ForeignKey("projects.id", ondelete="cascade"), nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("invited_by", ForeignKey("users.id", ondelete="set null"), index=True),
    _created_at(),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("role in ('owner', 'member', 'viewer')", name="role"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("project_id", ForeignKey("projects.id", ondelete="cascade"), nullable=False, index=True),
    Column("scope", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("key_hash", Text, nullable=False, unique=True),
    _created_at(),
    Column("last_used_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("scope in ('ingest', 'read')", name="scope"),
)

# No foreign key to projects: it costs 38% of COPY. Deleting a project removes its events in
# batches.
events = Table(
    "events",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("event_id", Uuid, primary_key=True),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    _exact_text("user_id"),
    _exact_text("event_type"),
    Column("properties", JSONB, nullable=False, server_default=text("'{}'")),
    Column("ingest_xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    CheckConstraint(
        "occurred_at >= '0001-01-01 00:00:00+00' and occurred_at < '10000-01-01 00:00:00+00'",
        name="occurred_at",
    ),
    CheckConstraint("char_length(user_id) between 1 and 200", name="user_id"),
    CheckConstraint("char_length(event_type) between 1 and 200", name="event_type"),
    CheckConstraint("jsonb_typeof(properties) = 'object'", name="properties"),
    Index(None, "ingest_xid"),
    Index(None, "occurred_at", postgresql_using="brin"),
)

events_removed = Table(
    "events_removed",
    metadata,
    Column("project_id", Integer, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("ingest_xid", Xid8, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    _exact_text("user_id"),
    _exact_text("event_type"),
    Column("removed_xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Index(None, "removed_xid"),
)

mirror_state = Table(
    "mirror_state",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("removed_floor", Xid8, nullable=False, server_default=text("'0'")),
    CheckConstraint("only_row", name="only_row"),
)

mirror_leases = Table(
    "mirror_leases",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("horizon", Xid8, nullable=False),
    Column("token", Uuid, nullable=False),
    Column("previous_token", Uuid),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("clean_below", Xid8, nullable=False, server_default=text("'0'")),
)

# Names nobody: a receipt that said whose events it is about would be data about them.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("project_id", Integer, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("removed_xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("removed_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    # Of a whole project: the user who deleted it. Of one person's events: null.
    Column("asked_by", Integer),
    Index(None, "removed_xid"),
)
