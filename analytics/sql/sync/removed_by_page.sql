-- question: which versions of events, written in one span of transactions, were removed in another, by these pages of the log?
-- answers: one row, see analytics.mirror.columns; versions that came and went within one transaction may come twice
-- takes: columns (those of analytics.mirror.columns); removed_since, removed_before, since, before bigint (transaction numbers); first, end text, two places in the table such as (0,0)
-- relies on: a TID range scan, which reads these pages and no others
select {columns}
from events_removed
where
    ctid >= %(first)s::text::tid and ctid < %(end)s::text::tid
    and removed_xid >= %(removed_since)s::text::xid8 and removed_xid < %(removed_before)s::text::xid8
    and ingest_xid >= %(since)s::text::xid8 and ingest_xid < %(before)s::text::xid8
