-- question: which versions of a project's events below the tidemark were removed at or above it?
-- answers: one row, see analytics.mirror.columns
-- takes: columns (those of analytics.mirror.columns); horizon bigint (a transaction number); project_id integer
-- relies on: ix_events_removed_removed_xid
select {columns}
from events_removed
where
    removed_xid >= %(horizon)s::text::xid8 and ingest_xid < %(horizon)s::text::xid8
    and project_id = %(project_id)s
