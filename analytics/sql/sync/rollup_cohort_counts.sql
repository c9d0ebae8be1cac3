-- question: how many users of each cohort were active in each period?
-- answers: nothing; it is in cohort_counts afterwards
-- takes: table stale (project_id integer); user_days and first days of these projects
-- relies on: a distinct of three rows for each of user_days, which may spill
insert into cohort_counts
with grains as (
    select unnest(['day', 'week', 'month']) as grain
),
active as (
    select distinct project_id, grain, period_of(grain, day, week_start) as period, user_key
    from user_days semi join stale using (project_id) join calendars using (project_id) cross join grains
)
select active.project_id, grain, period_of(grain, first_day, week_start) as cohort, period, count(*) as users
from active join users using (user_key) join calendars on calendars.project_id = active.project_id
group by all
order by all
