-- question: which rows are events, each id once?
-- answers: nothing; staged holds no others afterwards
-- takes: staged; needs_id, takes_local boolean; most (characters), first_us, last_us (of an event); once: whether a row is the first with its id
-- relies on: rowid being the file's order: of rows with one id the first is the event
create or replace temporary table staged as
with numbered as (select rowid as row, * from staged),
good as (
    select * from numbered
    where
        not ({needs_id} and event_id is null)
        and us between {first_us} and {last_us}
        and ({takes_local} or not is_local)
        and length(user_id) between 1 and {most} and not contains(user_id, chr(0))
        and length(event_type) between 1 and {most} and not contains(event_type, chr(0))
)
select event_id, us, is_local, user_id, event_type
from good
where {once}
order by row
