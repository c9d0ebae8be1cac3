-- question: which events of these pages of the table were written from `since` on and before `before`?
-- answers: one row, see analytics.mirror.columns
-- takes: columns (those of analytics.mirror.columns); since, before bigint (transaction numbers); first, end text, two places in the table such as (0,0)
-- relies on: a TID range scan, which reads these pages and no others
select {columns}
from events
where
    ctid >= %(first)s::text::tid and ctid < %(end)s::text::tid
    and ingest_xid >= %(since)s::text::xid8 and ingest_xid < %(before)s::text::xid8
