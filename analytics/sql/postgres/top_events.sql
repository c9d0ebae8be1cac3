-- question: which event types were the most frequent?
-- answers: (event_type text, count bigint), the most frequent first, ties by code point
-- takes: project_id, limit integer; begins_at, ends_at timestamptz
-- relies on: ix_events_occurred_at (brin) for a part of the time, a parallel scan for most of it
with counts as (
    select event_type, count(*) as events
    from events
    where project_id = %(project_id)s and occurred_at >= %(begins_at)s and occurred_at < %(ends_at)s
    group by event_type
)
select event_type, events as count
from counts
order by events desc, event_type collate "C"
limit %(limit)s
