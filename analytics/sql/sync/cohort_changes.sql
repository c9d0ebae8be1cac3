-- question: by how much do the numbers of users change, of each cohort in each period?
-- answers: temporary table cohort_changes (project_id integer, grain varchar, cohort, period integer, users bigint)
-- takes: grains varchar[]; tables days, first_days
-- relies on: nothing: a row for each grain and row of days
-- why: a period that was looked at only in part (see people) counts the same before and after
create or replace temporary table cohort_changes as
with grains as (
    select unnest($grains) as grain
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
changed_periods as (
    select
        project_id,
        grain,
        period,
        had,
        has,
        period_of(grain, before, week_start) as left_cohort,
        period_of(grain, after, week_start) as joined_cohort
    from periods join first_days using (project_id, user_key)
    where had <> has or before is distinct from after
),
moves as (
    select project_id, grain, left_cohort as cohort, period, -1 as users from changed_periods where had
    union all
    select project_id, grain, joined_cohort as cohort, period, 1 as users from changed_periods where has
)
select project_id, grain, cohort::integer as cohort, period::integer as period, sum(users)::bigint as users
from moves
group by all
having sum(users) <> 0
