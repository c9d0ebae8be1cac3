-- question: how many rows of type_counts don't follow from events?
-- answers: (rows bigint)
-- takes: nothing
-- relies on: one pass over events
select count(*)
from
    type_counts
    full join (select project_id, day, type_key, count(*) as found from events group by all) as recounted
        using (project_id, day, type_key)
where type_counts.events is distinct from recounted.found
