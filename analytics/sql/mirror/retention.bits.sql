-- question: as retention.sql, whatever the calendar of the roll-ups?
-- answers: (cohort bigint from 0, week bigint from 0, users bigint), pairs without users absent
-- takes: project_id, first_day, users, window integer; begins_at, ends_at timestamp; table changed; offset_us (local_time)
-- relies on: two columns of events since shortly before the first week; the dictionary's first days, whatever their zone
-- why: as dau.bits.sql. -1 is all time before the first week; a cohort is a week's users without those of earlier weeks.
--   A local day lies within a day of the same day in UTC, so who had a first day three days before the first week was
--   there before it: of all time before, only four days are read.
with instants as (
    select user_key, epoch_us(occurred_at) as us
    from events
    where project_id = $project_id and occurred_at < $ends_at
),
parts as (
    select week, bitstring_agg(user_key, 0, {users}) as users
    from (
        select
            user_key,
            case
                when us < epoch_us($begins_at::timestamp) then -1
                else (us + {offset_us} - $first_day * 86400000000) // 604800000000
            end as week
        from (
            select user_key, epoch_us(occurred_at) as us
            from events
            where
                project_id = $project_id
                and occurred_at >= $begins_at::timestamp - interval 4 days and occurred_at < $ends_at
        ) as late_instants
    ) as active
    group by week
    union all
    select -1 as week, bitstring_agg(user_key, 0, {users}) as users
    from users
    where project_id = $project_id and first_day <= $begins_at::timestamp::date - date '1970-01-01' - 3
),
weeks as materialized (
    select week, bit_or(users) as users
    from parts
    where users is not null
    group by week
),
seen as (
    select
        week,
        users,
        bit_or(users) over (order by week rows between unbounded preceding and 1 preceding) as earlier
    from weeks
),
cohorts as (
    select week as cohort, case when earlier is null then users else users & ~earlier end as users
    from seen
    where week >= 0
),
touched as (
    select user_key, us, 1 as before, 1 as after
    from instants
    where user_key in (select user_key from changed)
    union all
    select user_key, us, 0 as before, sign as after
    from changed
    where us < epoch_us($ends_at::timestamp)
),
touched_weeks as materialized (
    select
        user_key,
        case
            when us < epoch_us($begins_at::timestamp) then -1
            else (us + {offset_us} - $first_day * 86400000000) // 604800000000
        end as week,
        sum(before) > 0 as had,
        sum(after) > 0 as has
    from touched
    group by user_key, week
),
moves as (
    select min(week) filter (where had) over (partition by user_key) as cohort, week, -1 as users, had as counts
    from touched_weeks
    union all
    select min(week) filter (where has) over (partition by user_key) as cohort, week, 1 as users, has as counts
    from touched_weeks
),
cells as (
    select cohort, weeks.week - cohort as week, bit_count(cohorts.users & weeks.users) as users
    from cohorts join weeks on weeks.week >= cohort and weeks.week - cohort < $window
    union all
    select cohort, week - cohort as week, users
    from moves
    where counts and cohort >= 0 and week - cohort < $window
)
select cohort, week, sum(users)::bigint as users
from cells
group by all
having sum(users) > 0
order by all
