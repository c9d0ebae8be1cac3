-- question: how many users of each cohort were active in each period?
-- answers: nothing; it is in cohort_counts afterwards
-- takes: projects, a list of numbers in parentheses; user_days and first days of these projects
-- relies on: user_days holding each day of a user once
-- why: each grain by itself: days need no distinct, and the months of a few days are worked out once. All grains in one
--   distinct took three times the processor time.
insert into cohort_counts
with days as (
    select project_id, day, user_key from user_days where project_id in {projects}
),
weeks as (
    select distinct project_id, week_of(day, week_start) as week, user_key
    from days join calendars using (project_id)
),
months as (
    select distinct project_id, month, user_key
    from days join (select day, month_of(day) as month from (select distinct day from days) as known) as known using (day)
)
select days.project_id, 'day' as grain, first_day as cohort, day as period, count(*) as users
from days join users using (user_key)
group by all
union all
select weeks.project_id, 'week', week_of(first_day, week_start), week, count(*)
from weeks join users using (user_key) join calendars on calendars.project_id = weeks.project_id
group by all
union all
select months.project_id, 'month', month_of(first_day), month, count(*)
from months join users using (user_key)
group by all
order by all
