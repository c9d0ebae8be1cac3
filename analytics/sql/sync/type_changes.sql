-- question: by how many events of each type did each local day change?
-- answers: temporary table type_changes (project_id, day integer, event_type varchar, events bigint), changes of 0 absent
-- takes: relation batch, see pairs
-- relies on: nothing: one pass over the batch
create or replace temporary table type_changes as
select project_id, day, event_type, sum(sign)::bigint as events
from batch
group by all
having sum(sign) <> 0
