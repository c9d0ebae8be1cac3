-- question: how many rows of active_counts don't follow from events?
-- answers: (rows bigint)
-- takes: nothing
-- relies on: a distinct of three rows for each user and day, which may spill
with grains as (
    select unnest(['day', 'week', 'month']) as grain
),
active as (
    select distinct project_id, grain, period_of(grain, day, week_start) as period, user_key
    from (select distinct project_id, day, user_key from events) as days
    join calendars using (project_id)
    cross join grains
)
select count(*)
from
    active_counts
    full join (select project_id, grain, period, count(*) as found from active group by all) as recounted
        using (project_id, grain, period)
where active_counts.users is distinct from recounted.found
