-- question: how many distinct users were active on each day?
-- answers: (day integer from 0, dau bigint), days without events absent
-- takes: project_id integer; begins_at, ends_at timestamptz; day_starts timestamptz[], one more than there are days
-- relies on: ix_events_occurred_at (brin) for a part of the time, a sequential scan for most of it
-- why: width_bucket is a binary search, so neither a zone nor its rules are needed here. Pairs first: count(distinct)
--   sorts every event; on 1M events of 3,000 users it took 750 ms against 570, on 1M of 60,000 users 10% less.
with active as (
    select distinct width_bucket(occurred_at, %(day_starts)s::timestamptz[]) as bucket, user_id
    from events
    where project_id = %(project_id)s and occurred_at >= %(begins_at)s and occurred_at < %(ends_at)s
)
select bucket - 1 as day, count(*) as dau
from active
group by bucket
order by bucket
