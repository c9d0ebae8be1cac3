-- question: how many distinct users were active on each day, whatever the calendar of the roll-ups?
-- answers: (day bigint from 0, dau bigint), days without events absent
-- takes: project_id, first_day integer; begins_at, ends_at timestamp; table changed; offset_us, see analytics.sql.local_time
-- relies on: two columns of events, and the runs' order by day, which lets row groups outside the range be skipped
-- why: a removed event counts as minus one, so that a user is active where more than nothing is left
with instants as (
    select user_key, epoch_us(occurred_at) as us, 1 as sign
    from events
    where project_id = $project_id and occurred_at >= $begins_at and occurred_at < $ends_at
    union all
    select user_key, us, sign
    from changed
    where us >= epoch_us($begins_at::timestamp) and us < epoch_us($ends_at::timestamp)
),
active as (
    select (us + {offset_us} - $first_day * 86400000000) // 86400000000 as day, user_key
    from instants
    group by all
    having sum(sign) > 0
)
select day, count(*) as dau
from active
group by day
order by day
