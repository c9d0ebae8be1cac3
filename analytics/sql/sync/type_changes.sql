-- question: by how many events of each type did each local day change?
-- answers: (project_id, day integer, event_type varchar, events bigint), changes of 0 absent
-- takes: relation batch (project_id integer, event_type varchar, day integer, sign bigint)
-- relies on: nothing: one pass over the batch
select project_id, day, event_type, sum(sign)::bigint as events
from batch
group by all
having sum(sign) <> 0
