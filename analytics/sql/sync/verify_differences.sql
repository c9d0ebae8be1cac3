-- question: on which days do the two sides differ?
-- answers: (project_id, day integer, mirror, postgres bigint), in order
-- takes: table sums
-- relies on: sums being few
select
    project_id,
    day,
    coalesce(sum(events) filter (where side = 'mirror'), 0)::bigint as mirror,
    coalesce(sum(events) filter (where side = 'postgres'), 0)::bigint as postgres
from sums
group by project_id, day
having
    mirror <> postgres
    or coalesce(sum(hashes) filter (where side = 'mirror'), 0)
    <> coalesce(sum(hashes) filter (where side = 'postgres'), 0)
order by project_id, day
