-- question: how many events has the mirror on each local day, and which?
-- answers: temporary table sums (side varchar, project_id, day integer, events bigint, hashes hugeint)
-- takes: nothing
-- relies on: one pass over everything
create or replace temporary table sums as
select
    'mirror' as side,
    events.project_id,
    events.day,
    count(*)::bigint as events,
    sum(hash(event_id, occurred_at, user_id, event_type, ingest_xid)::hugeint)::hugeint as hashes
from events join users using (user_key) join event_types using (type_key)
group by all
