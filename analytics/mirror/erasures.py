"""Which files may still hold somebody who was erased, and so have to be written anew.

A removed row stays in the file until a table is rewritten, a name in its dictionary for good, and
DuckDB never wipes a block that it frees. Only a file that never held them is sure not to. A new
file is built from a snapshot; what transactions below that snapshot's xmin removed never gets into
it. Its lease says up to which transaction that is so, `clean_below`, and the receipt of an erasure
reads it there (app.erasure.receipts).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from analytics.mirror.columns import Connection

# An erasure at or above xmin would get into the new file, too: its turn comes.
_DUE: Final = """/* tidemark mirror erasures due */
select exists (
    select 1 from erasures, mirror_leases as lease
    where lease.id = %(id)s
        and erasures.removed_xid >= lease.clean_below
        and erasures.removed_xid < pg_snapshot_xmin(pg_current_snapshot())
)"""


def due(connection: Connection, mirror_id: UUID) -> bool:
    """Whether the file may hold events of an erasure that a new one would not."""
    row = connection.execute(_DUE, {"id": mirror_id}).fetchone()
    assert row is not None  # noqa: S101 - a select without from has one row
    return bool(row[0])
