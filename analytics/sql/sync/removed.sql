-- question: which versions of events, written in one span of transactions, were removed in another?
-- answers: one row, see analytics.mirror.columns; versions that came and went within one transaction may come twice
-- takes: columns (those of analytics.mirror.columns); removed_since, removed_before, since, before bigint (transaction numbers)
-- relies on: ix_events_removed_removed_xid
select {columns}
from events_removed
where
    removed_xid >= %(removed_since)s::text::xid8 and removed_xid < %(removed_before)s::text::xid8
    and ingest_xid >= %(since)s::text::xid8 and ingest_xid < %(before)s::text::xid8
