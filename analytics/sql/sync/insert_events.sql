-- question: which events came?
-- answers: nothing; the events are in the table afterwards, as one sorted run
-- takes: relation arrivals (project_id, day, type_key, user_key integer, occurred_at, event_id, ingest_xid), by the first four
-- relies on: DuckDB keeping the order that rows come in
-- why: sorted by what questions group by, they pack well and group fast; to sort them here takes half as long again as to
--   insert them sorted
insert into events
select project_id, day, type_key, user_key, occurred_at, event_id, ingest_xid
from arrivals
