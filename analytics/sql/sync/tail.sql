-- question: which events of a project were written at or above the tidemark, and how many of all projects?
-- answers: one row, see analytics.mirror.columns, and behind it the number of all; no more than `most` are looked at
-- takes: columns (those of analytics.mirror.columns), of the project; horizon bigint (a transaction number); project_id, most integer
-- relies on: ix_events_ingest_xid
-- why: to count all of them first, as tail_size.sql does, takes half as long again
select {columns}, count(*)
from (select * from events where ingest_xid >= %(horizon)s::text::xid8 limit %(most)s) as looked_at
