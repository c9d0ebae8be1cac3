-- question: from which day on do the roll-ups of these users have to be looked at?
-- answers: one row (since integer), null where nothing changed
-- takes: table pairs
-- relies on: nothing: one pass over the batch
-- why: new events change their own periods and no others, so recent ones need a look at recent days only. A removal,
--   or an event before a user's first, can move the user to another cohort: then all of the user's days count.
select
    case
        when bool_or(events < 0 or day < first_day) then -2147483648
        else min(least(week_of(day, week_start), month_of(day)))
    end as since
from pairs join calendars using (project_id)
