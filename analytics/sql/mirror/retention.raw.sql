-- question: as retention.sql, whatever the calendar of the roll-ups?
-- answers: (cohort bigint from 0, week bigint from 0, users bigint), pairs without users absent
-- takes: project_id, first_day, window integer; begins_at, ends_at timestamp; table changed; offset_us (local_time)
-- relies on: two columns of the project's whole history, for cohorts are by the first event ever
-- why: as in attached/retention.sql; a removed event counts as minus one
with instants as (
    select user_key, epoch_us(occurred_at) as us, 1 as sign
    from events
    where project_id = $project_id and occurred_at < $ends_at
    union all
    select user_key, us, sign
    from changed
    where us < epoch_us($ends_at::timestamp)
),
active as materialized (
    select
        user_key,
        case
            when us < epoch_us($begins_at::timestamp) then -1
            else (us + {offset_us} - $first_day * 86400000000) // 604800000000
        end as week
    from instants
    group by all
    having sum(sign) > 0
),
cohorts as (
    select user_key, min(week) as cohort
    from active
    group by user_key
    having min(week) >= 0
)
select cohort, active.week - cohort as week, count(*) as users
from active join cohorts using (user_key)
where active.week - cohort < $window
group by cohort, active.week
order by cohort, active.week
