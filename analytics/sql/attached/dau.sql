-- question: how many distinct users were active on each day?
-- answers: (day bigint from 0, dau bigint), days without events absent
-- takes: project_id, first_day integer; begins_at, ends_at timestamptz; offset_us, see analytics.sql.local_time
-- relies on: one Postgres scan with all three conditions pushed down, there ix_events_occurred_at (brin)
-- why: whole numbers only. Local time counted from the first day is never negative inside the range, so cutting
--   division is flooring. Pairs first: count(distinct) in a group can't spill as well, and is no faster.
with instants as (
    select user_id, epoch_us(occurred_at) as us
    from pg.public.events
    where project_id = $project_id and occurred_at >= $begins_at and occurred_at < $ends_at
),
active as (
    select distinct (us + {offset_us} - $first_day * 86400000000) // 86400000000 as day, user_id
    from instants
)
select day, count(*) as dau
from active
group by day
order by day
