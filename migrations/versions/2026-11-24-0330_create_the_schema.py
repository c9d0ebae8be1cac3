"""Create the schema: accounts, events, the log of removals, the mirror's state.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from app.database.tables import Xid8

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOW = sa.text("now()")
CURRENT_XID = sa.text("pg_current_xact_id()")


def upgrade() -> None:
    """Tables first, then the triggers that keep the log of removals, then each role's rights."""
    _create_users_and_projects()
    _create_members_and_keys()
    _create_events()
    _create_mirror_tables()
    _create_triggers()
    _create_roles()
    _grant_rights()


def downgrade() -> None:
    """Drop all but the roles: they belong to the cluster, and other databases may use them."""
    for table in (
        "mirror_leases",
        "mirror_state",
        "events_removed",
        "events",
        "api_keys",
        "members",
        "projects",
        "users",
    ):
        op.drop_table(table)
    for function in ("events_stamp_version", "events_log_removed", "events_start_epoch"):
        op.execute(f"drop function {function}()")


def _identity() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), sa.Identity(), nullable=False)


def _instant(
    name: str, *, nullable: bool = True, default: sa.TextClause | None = None
) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(
        name, sa.Text(), nullable=False, server_default=sa.text(default) if default else None
    )


def _exact_text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _xid(name: str, default: sa.TextClause | None = None) -> sa.Column[str]:
    return sa.Column(name, Xid8(), nullable=False, server_default=default)


def _create_users_and_projects() -> None:
    op.create_table(
        "users",
        _identity(),
        _text("email"),
        _text("password_hash"),
        sa.Column("token_version", sa.Integer(), nullable=False, server_default=sa.text("0")),
        _instant("created_at", nullable=False, default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "projects",
        _identity(),
        _text("name"),
        _text("timezone", "'UTC'"),
        _text("week_start", "'monday'"),
        _instant("created_at", nullable=False, default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
        sa.CheckConstraint("char_length(name) between 1 and 100", name=op.f("ck_projects_name")),
        sa.CheckConstraint(
            "week_start in ('monday', 'sunday')", name=op.f("ck_projects_week_start")
        ),
    )


def _create_members_and_keys() -> None:
    op.create_table(
        "members",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        _text("role"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name="pk_members"),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name="fk_members_project_id_projects",
            ondelete="cascade",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_members_user_id_users", ondelete="cascade"
        ),
        sa.CheckConstraint("role in ('owner', 'member', 'viewer')", name=op.f("ck_members_role")),
    )
    op.create_index("ix_members_user_id", "members", ["user_id"])
    op.create_table(
        "api_keys",
        _identity(),
        sa.Column("project_id", sa.Integer(), nullable=False),
        _text("scope"),
        _text("prefix"),
        _text("key_hash"),
        _instant("created_at", nullable=False, default=NOW),
        _instant("last_used_at"),
        _instant("expires_at"),
        _instant("revoked_at"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name="fk_api_keys_project_id_projects",
            ondelete="cascade",
        ),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.CheckConstraint("scope in ('ingest', 'read')", name=op.f("ck_api_keys_scope")),
    )
    op.create_index("ix_api_keys_project_id", "api_keys", ["project_id"])


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        _instant("occurred_at", nullable=False),
        _exact_text("user_id"),
        _exact_text("event_type"),
        sa.Column("properties", JSONB(), nullable=False, server_default=sa.text("'{}'")),
        _xid("ingest_xid", CURRENT_XID),
        sa.PrimaryKeyConstraint("project_id", "event_id", name="pk_events"),
        sa.CheckConstraint(
            "occurred_at >= '0001-01-01 00:00:00+00' and occurred_at < '10000-01-01 00:00:00+00'",
            name=op.f("ck_events_occurred_at"),
        ),
        sa.CheckConstraint(
            "char_length(user_id) between 1 and 200", name=op.f("ck_events_user_id")
        ),
        sa.CheckConstraint(
            "char_length(event_type) between 1 and 200", name=op.f("ck_events_event_type")
        ),
        sa.CheckConstraint(
            "jsonb_typeof(properties) = 'object'", name=op.f("ck_events_properties")
        ),
    )
    # Nobody, the owner included, may write a row below a mirror's tidemark. NOT VALID, because a
    # dump restores its rows, with the xids of another cluster, before it restores this constraint.
    op.execute(
        "alter table events add constraint ck_events_ingest_xid "
        "check (ingest_xid = pg_current_xact_id()) not valid"
    )
    op.create_index("ix_events_ingest_xid", "events", ["ingest_xid"])
    op.create_index("ix_events_occurred_at", "events", ["occurred_at"], postgresql_using="brin")


def _create_mirror_tables() -> None:
    op.create_table(
        "events_removed",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        _xid("ingest_xid"),
        _instant("occurred_at", nullable=False),
        _exact_text("user_id"),
        _exact_text("event_type"),
        _xid("removed_xid", CURRENT_XID),
    )
    op.create_index("ix_events_removed_removed_xid", "events_removed", ["removed_xid"])
    op.create_table(
        "mirror_state",
        sa.Column("only_row", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("epoch", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()")),
        _xid("removed_floor", sa.text("'0'")),
        sa.PrimaryKeyConstraint("only_row", name="pk_mirror_state"),
        sa.CheckConstraint("only_row", name=op.f("ck_mirror_state_only_row")),
    )
    op.execute("insert into mirror_state default values")
    op.create_table(
        "mirror_leases",
        sa.Column("id", sa.Uuid(), nullable=False),
        _xid("horizon"),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("previous_token", sa.Uuid(), nullable=True),
        _instant("expires_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mirror_leases"),
    )


def _create_triggers() -> None:
    # Touches no table, so it needs nobody's rights; as SECURITY DEFINER it would cost more on every
    # updated row.
    op.execute("""
        create function events_stamp_version() returns trigger language plpgsql as $$
        begin
            new.ingest_xid := pg_catalog.pg_current_xact_id();
            return new;
        end $$
    """)
    op.execute("""
        create function events_log_removed() returns trigger
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        begin
            insert into public.events_removed
                (project_id, event_id, ingest_xid, occurred_at, user_id, event_type)
            select project_id, event_id, ingest_xid, occurred_at, user_id, event_type from removed;
            return null;
        end $$
    """)
    op.execute("""
        create function events_start_epoch() returns trigger
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        begin
            update public.mirror_state set epoch = gen_random_uuid();
            return null;
        end $$
    """)
    op.execute("""
        create trigger events_stamp_version before update on events
        for each row execute function events_stamp_version()
    """)
    op.execute("""
        create trigger events_log_deleted after delete on events
        referencing old table as removed for each statement execute function events_log_removed()
    """)
    op.execute("""
        create trigger events_log_updated after update on events
        referencing old table as removed for each statement execute function events_log_removed()
    """)
    op.execute("""
        create trigger events_start_epoch after truncate on events
        for each statement execute function events_start_epoch()
    """)
    # ALWAYS: a replication worker, or a restore with --disable-triggers, would otherwise pass them
    # by.
    for trigger in (
        "events_stamp_version",
        "events_log_deleted",
        "events_log_updated",
        "events_start_epoch",
    ):
        op.execute(f"alter table events enable always trigger {trigger}")


def _create_roles() -> None:
    # A managed Postgres may refuse CREATE ROLE: everything works with one role, with less
    # protection.
    for role in ("tidemark_writer", "tidemark_reader"):
        op.execute(f"""
            do $$ begin
                if not exists (select from pg_roles where rolname = '{role}') then
                    create role {role} nologin;
                end if;
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise notice 'role {role} is missing and % may not create it', current_user;
            end $$
        """)


def _grant_rights() -> None:
    rights = {
        "tidemark_writer": (
            "select, delete on events",
            "insert (project_id, event_id, occurred_at, user_id, event_type, properties) on events",
            "select, delete on events_removed",
            "select, update on mirror_state",
            "select on alembic_version",
            "select, insert, update, delete on mirror_leases, users, projects, members, api_keys",
        ),
        "tidemark_reader": (
            "select on events, events_removed, mirror_state, projects, alembic_version",
            "select, insert, update, delete on mirror_leases",
        ),
    }
    for role, grants in rights.items():
        statements = " ".join(f"grant {grant} to {role};" for grant in grants)
        op.execute(f"""
            do $$ begin
                if exists (select from pg_roles where rolname = '{role}') then {statements} end if;
            end $$
        """)
