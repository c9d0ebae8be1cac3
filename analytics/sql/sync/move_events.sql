-- question: which events have which local day by a new calendar?
-- answers: nothing; the events of these rows are in the temporary table moved afterwards
-- takes: project_id integer; first, end bigint (row numbers); relation moves (row bigint, day integer)
-- relies on: the order of row numbers: each call reads its own row groups
insert into moved
select project_id, moves.day, type_key, user_key, occurred_at, event_id, ingest_xid
from events join moves on events.rowid = moves.row
where project_id = $project_id and events.rowid >= $first and events.rowid < $end
