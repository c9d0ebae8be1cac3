-- question: how many events did these people have on each day from `since` on?
-- answers: (user_key, day integer, events bigint), any number of rows for a user and day; nothing for who had none
-- takes: since integer; relation keys (user_key)
-- relies on: the order of user_days by (project, day), which lets row groups before `since` be skipped;
--   recent_user_days being few
-- why: a join on one number alone is by a table of all numbers, without a hash; another condition, or the left side's
--   people without days, would take a third more. Keys are of one project each, so project_id is not read
select user_key, day, events
from
    (
        select user_key, day, events from user_days
        union all
        select user_key, day, events from recent_user_days
    ) as all_days
    join keys using (user_key)
where day >= $since
