-- question: what does the file say, in the columns of an event?
-- answers: nothing; it is in the table staged afterwards, a row for each of the file's, in their order (rowid)
-- takes: relation source; event_id, us, is_local, user_id, event_type, see analytics.file.columns
-- relies on: one pass over the file, which DuckDB decodes on all threads
-- why: to join with the dictionaries while decoding took three times as long
create or replace temporary table staged as
select
    {event_id} as event_id,
    {us} as us,
    {is_local} as is_local,
    {user_id} as user_id,
    {event_type} as event_type
from source
