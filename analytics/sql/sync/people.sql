-- question: how far back do the roll-ups of each of these users have to be looked at?
-- answers: temporary table people (project_id, user_key, first_day integer, moves boolean, since integer)
-- takes: grains varchar[]; table pairs
-- relies on: nothing: one pass over pairs
-- why: an event changes the periods it lies in and no others, unless it is before a user's first day, or was removed from
--   that: then the user may move to another cohort. There is no day of the user before that one, so all are looked at.
create or replace temporary table people as
select
    project_id,
    user_key,
    any_value(first_day) as first_day,
    coalesce(bool_or(events < 0 and day = first_day or day < first_day), false) as moves,
    min(least(
        day,
        case when list_contains($grains, 'week') then week_of(day, week_start) else day end,
        case when list_contains($grains, 'month') then month_of(day) else day end
    )) as since
from pairs join calendars using (project_id)
group by project_id, user_key
