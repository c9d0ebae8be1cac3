-- question: by how much do the numbers of users change, in each period and of each cohort?
-- answers: temporary table user_changes (project_id integer, grain varchar, cohort, period integer, users bigint)
-- takes: tables days, first_days
-- relies on: nothing: three rows for each of days
-- why: a period that was looked at only in part (see since) counts the same before and after, and cancels out
create or replace temporary table user_changes as
with grains as (
    select unnest(['day', 'week', 'month']) as grain
),
periods as (
    select
        project_id,
        user_key,
        grain,
        week_start,
        period_of(grain, day, week_start) as period,
        bool_or(before > 0) as had,
        bool_or(after > 0) as has
    from days join calendars using (project_id) cross join grains
    group by all
),
moves as (
    select project_id, grain, period_of(grain, before, week_start) as cohort, period, -1 as users
    from periods join first_days using (project_id, user_key)
    where had
    union all
    select project_id, grain, period_of(grain, after, week_start) as cohort, period, 1 as users
    from periods join first_days using (project_id, user_key)
    where has
)
select project_id, grain, cohort::integer as cohort, period::integer as period, sum(users)::bigint as users
from moves
group by all
having sum(users) <> 0
