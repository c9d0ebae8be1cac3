-- question: which event types were the most frequent, whatever the calendar of the roll-ups?
-- answers: (event_type varchar, count bigint), the most frequent first, ties by code point
-- takes: project_id, limit integer; begins_at, ends_at timestamp; table changed
-- relies on: two columns of events
with counts as (
    select type_key, count(*) as events from events
    where project_id = $project_id and occurred_at >= $begins_at and occurred_at < $ends_at
    group by type_key
),
named as (
    select event_type, events from counts join event_types using (type_key)
    union all
    select event_type, sum(sign) as events from changed
    where us >= epoch_us($begins_at::timestamp) and us < epoch_us($ends_at::timestamp)
    group by event_type
)
select event_type, sum(events)::bigint as count
from named
group by event_type
having sum(events) > 0
order by count desc, event_type
limit $limit
