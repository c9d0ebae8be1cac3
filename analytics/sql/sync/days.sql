-- question: on which days were these users active before the change, and on which after it?
-- answers: temporary table days (project_id, user_key, first_day, day integer, before, after bigint)
-- takes: since integer, the earliest of people; tables pairs, people
-- relies on: the order of user_days by (project, day), which lets row groups before `since` be skipped
-- why: keys are of one project each, so project_id is not read: each column costs a tenth of the whole
create or replace temporary table days as
with rows as (
    select people.project_id, user_key, day, events
    from user_days join people using (user_key)
    where day >= $since and day >= people.since
),
known as (
    select project_id, user_key, day, sum(events)::bigint as events
    from rows
    group by all
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
