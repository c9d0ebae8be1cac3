-- question: of the users whose first event ever fell into a week, how many were active in the weeks after it?
-- answers: (cohort integer from 0, week integer from 0, users bigint), pairs without users absent
-- takes: project_id, window integer; ends_at timestamptz; week_starts timestamptz[], one more than there are weeks
-- relies on: one parallel scan of the project's whole history, for cohorts are by the first event ever
-- why: a user's weeks are a string of bits, bit 0 for all time before the first week. bit_or needs one group a user,
--   and works in parallel: on 10M events of 400,000 users and 17 weeks it took 5.4 s, distinct pairs of user and week
--   10.6 s. Users with the same bits after their first are counted once for all of them.
with users as (
    select bit_or(set_bit(
        repeat('0', array_length(%(week_starts)s::timestamptz[], 1))::varbit,
        width_bucket(occurred_at, %(week_starts)s::timestamptz[]),
        1
    )) as weeks
    from events
    where project_id = %(project_id)s and occurred_at < %(ends_at)s
    group by user_id
),
cohorts as (
    select position(B'1' in weeks) - 2 as cohort, substring(weeks from position(B'1' in weeks) for %(window)s) as weeks
    from users
    where get_bit(weeks, 0) = 0
),
patterns as (
    select cohort, weeks, count(*) as users
    from cohorts
    group by cohort, weeks
)
select cohort, week, sum(users)::bigint as users
from patterns, generate_series(0, length(weeks) - 1) as week
where get_bit(weeks, week) = 1
group by cohort, week
order by cohort, week
