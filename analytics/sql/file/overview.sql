-- question: how many rows are there, and how many of them have a moment, no zone for it, and an id?
-- answers: (rows, with_moment, local, with_id bigint)
-- takes: staged; first_us, last_us (of an event)
-- relies on: nothing
select
    count(*) as rows,
    count(*) filter (where us between {first_us} and {last_us}) as with_moment,
    count(*) filter (where is_local) as local,
    count(event_id) as with_id
from staged
