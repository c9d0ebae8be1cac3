-- question: what is the first day of these users before the change, and after it?
-- answers: temporary table first_days (project_id, user_key, before, after integer), null where the user has no event
-- takes: table days
-- relies on: nothing: a few rows a user of the batch
-- why: a user whose days were looked at only in part (see since) keeps the first day
create or replace temporary table first_days as
select
    project_id,
    user_key,
    any_value(first_day) as before,
    case
        when any_value(first_day) is null or bool_or(after < before or day < first_day)
            then min(day) filter (where after > 0)
        else any_value(first_day)
    end as after
from days
group by project_id, user_key
