-- question: which events of a project were written at or above the tidemark?
-- answers: one row, see analytics.mirror.columns
-- takes: columns (those of analytics.mirror.columns); horizon bigint (a transaction number); project_id integer
-- relies on: ix_events_ingest_xid
select {columns}
from events
where ingest_xid >= %(horizon)s::text::xid8 and project_id = %(project_id)s
