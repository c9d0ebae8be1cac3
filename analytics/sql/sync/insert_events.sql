-- question: by which keys do these events stand in the file?
-- answers: nothing; the events are in the table afterwards, as one sorted run
-- takes: relation arrivals, with every user and event type in the dictionaries
-- relies on: both dictionaries being hashed: they are smaller than events by far
-- why: sorted by what questions group by, they pack well and group fast
insert into events
select project_id, arrivals.day, type_key, user_key, occurred_at, event_id, ingest_xid
from arrivals join users using (project_id, user_id) join event_types using (event_type)
order by project_id, arrivals.day, type_key, user_key
