-- question: what is the first day of these users before the change, and after it?
-- answers: temporary table first_days (project_id, user_key, before, after integer), null where the user has no event
-- takes: tables days, people
-- relies on: nothing: one pass over days
-- why: a user whose days were looked at only in part (see people) keeps the first day
create or replace temporary table first_days as
select
    project_id,
    user_key,
    any_value(people.first_day) as before,
    case
        when any_value(people.first_day) is null or bool_or(moves) then min(day) filter (where after > 0)
        else any_value(people.first_day)
    end as after
from days join people using (project_id, user_key)
group by project_id, user_key
