"""Let projects be deleted over HTTP, with a receipt.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Who deleted a project, and may ask how far that is; its receipt counts batch by batch."""
    op.add_column("erasures", sa.Column("asked_by", sa.Integer(), nullable=True))
    op.execute("""
        do $$ begin
            if exists (select from pg_roles where rolname = 'tidemark_writer') then
                grant update on erasures to tidemark_writer;
            end if;
        end $$
    """)


def downgrade() -> None:
    """Nobody can ask for those receipts any more; what was deleted stays deleted."""
    op.execute("""
        do $$ begin
            if exists (select from pg_roles where rolname = 'tidemark_writer') then
                revoke update on erasures from tidemark_writer;
            end if;
        end $$
    """)
    op.drop_column("erasures", "asked_by")
