-- question: who are all users, and on which days did they have their first and their last event?
-- answers: (project_id, user_id varchar, user_key, first_day, last_day integer), none null; 2147483647 for a last day that takes a sum to know
-- takes: nothing
-- relies on: one pass over user_days and one over the dictionary
-- why: a row below 0 takes back what another one says, so of its user the last day may be an earlier one
select project_id, user_id, user_key, coalesce(first_day, 2147483647) as first_day, coalesce(last_day, 2147483647) as last_day
from
    users
    left join (
        select user_key, case when min(events) > 0 then max(day) end as last_day
        from (
            select user_key, day, events from user_days
            union all
            select user_key, day, events from recent_user_days
        ) as all_days
        group by user_key
    ) as days using (user_key)
