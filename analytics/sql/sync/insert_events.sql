-- question: which events came?
-- answers: nothing; the events are in the table afterwards, as one sorted run
-- takes: relation arrivals (project_id, day, type_key, user_key integer, occurred_at, event_id, ingest_xid)
-- relies on: nothing: rows are only added
-- why: sorted by what questions group by, they pack well and group fast
insert into events
select project_id, day, type_key, user_key, occurred_at, event_id, ingest_xid
from arrivals
order by project_id, day, type_key, user_key
