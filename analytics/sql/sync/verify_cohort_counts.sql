-- question: how many rows of cohort_counts don't follow from events?
-- answers: (rows bigint)
-- takes: nothing
-- relies on: a distinct of three rows for each user and day, which may spill
with grains as (
    select unnest(['day', 'week', 'month']) as grain
),
days as (
    select distinct project_id, day, user_key, min(day) over (partition by user_key) as first_day from events
),
active as (
    select distinct
        project_id,
        grain,
        period_of(grain, first_day, week_start) as cohort,
        period_of(grain, day, week_start) as period,
        user_key
    from days join calendars using (project_id) cross join grains
)
select count(*)
from
    cohort_counts
    full join (select project_id, grain, cohort, period, count(*) as found from active group by all) as recounted
        using (project_id, grain, cohort, period)
where cohort_counts.users is distinct from recounted.found
