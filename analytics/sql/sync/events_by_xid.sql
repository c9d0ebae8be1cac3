-- question: which events were written by transactions from `since` on and before `before`?
-- answers: one row, see analytics.mirror.columns
-- takes: columns (those of analytics.mirror.columns); since, before bigint (transaction numbers)
-- relies on: ix_events_ingest_xid
select {columns}
from events
where ingest_xid >= %(since)s::text::xid8 and ingest_xid < %(before)s::text::xid8
