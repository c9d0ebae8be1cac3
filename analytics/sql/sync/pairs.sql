-- question: by how many events did each user's local days change?
-- answers: temporary table pairs (project_id, user_key, first_day, day integer, events bigint), changes of 0 absent
-- takes: relation batch (project_id, person integer, event_type varchar, us bigint, day integer, sign bigint); table keys
-- relies on: nothing: one pass over the batch
create or replace temporary table pairs as
select project_id, user_key, first_day, day, events
from (select person, day, sum(sign)::bigint as events from batch group by all having sum(sign) <> 0) as counted
join keys using (person)
