"""Let people be forgotten, and events be kept for a while only.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.database.tables import Xid8

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Erasures with their receipts, what mirrors say of their files, each project's period."""
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column(
            "removed_xid",
            Xid8(),
            nullable=False,
            server_default=sa.text("pg_current_xact_id()"),
        ),
        sa.Column(
            "removed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
    op.create_index("ix_erasures_removed_xid", "erasures", ["removed_xid"])
    op.add_column(
        "mirror_leases",
        # A file that is there already may hold anything.
        sa.Column("clean_below", Xid8(), nullable=False, server_default=sa.text("'0'")),
    )
    op.add_column("projects", sa.Column("storage_days", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_projects_storage_days"), "projects", "storage_days between 1 and 36500"
    )
    for role, grant in (
        ("tidemark_writer", "select, insert on erasures"),
        ("tidemark_reader", "select on erasures"),
    ):
        op.execute(f"""
            do $$ begin
                if exists (select from pg_roles where rolname = '{role}') then
                    grant {grant} to {role};
                end if;
            end $$
        """)


def downgrade() -> None:
    """Receipts and periods are lost; what was erased stays erased."""
    op.drop_constraint(op.f("ck_projects_storage_days"), "projects")
    op.drop_column("projects", "storage_days")
    op.drop_column("mirror_leases", "clean_below")
    op.drop_table("erasures")
