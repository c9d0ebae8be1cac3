-- question: how many events of this part are there on each local day, and which?
-- answers: nothing; they are added to sums afterwards
-- takes: side varchar; sign integer (-1 to take them off); relation part, events with their days
-- relies on: one pass over the part
insert into sums
select
    $side,
    project_id,
    day,
    $sign * count(*),
    $sign * sum(hash(event_id, occurred_at, user_id, event_type, ingest_xid)::hugeint)
from part
group by all
