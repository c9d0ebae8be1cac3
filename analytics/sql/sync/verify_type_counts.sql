-- question: how many rows of type_counts don't follow from events?
-- answers: (rows bigint)
-- takes: nothing
-- relies on: one pass over events
with recounted as (
    select project_id, day, event_type, found
    from
        (select project_id, day, type_key, count(*) as found from events group by all) as by_key
        join event_types using (type_key)
)
select count(*)
from type_counts full join recounted using (project_id, day, event_type)
where type_counts.events is distinct from recounted.found
