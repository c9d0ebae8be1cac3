-- question: on which days were these users active before the change, and on which after it?
-- answers: temporary table days (project_id, user_key, first_day, day integer, before, after bigint)
-- takes: table pairs; since integer
-- relies on: the order of user_days by (project, day), which lets row groups before `since` be skipped
create or replace temporary table days as
with known as (
    select project_id, user_key, day, sum(events)::bigint as events
    from user_days
    where day >= $since and user_key in (select user_key from pairs)
    group by all
),
people as (
    select distinct project_id, user_key, first_day from pairs
)
select
    project_id,
    user_key,
    people.first_day,
    day,
    coalesce(known.events, 0) as before,
    coalesce(known.events, 0) + coalesce(pairs.events, 0) as after
from known
full join pairs using (project_id, user_key, day)
join people using (project_id, user_key)
