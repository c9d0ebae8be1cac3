-- question: how many rows of user_days don't follow from events?
-- answers: (rows bigint)
-- takes: nothing
-- relies on: one pass over both
select count(*)
from
    (
        select project_id, day, user_key, sum(events) as events
        from (
            select project_id, day, user_key, events from user_days
            union all
            select project_id, day, user_key, events from recent_user_days
            union all
            select project_id, day, user_key, -count(*) from events group by all
        ) as both_sides
        group by all
        having sum(events) <> 0
    ) as wrong
