-- question: which event types were the most frequent?
-- answers: (event_type varchar, count bigint), the most frequent first, ties by code point
-- takes: project_id, limit integer; begins_at, ends_at timestamptz
-- relies on: one Postgres scan with all three conditions pushed down, there ix_events_occurred_at (brin)
-- why: without a collation DuckDB orders text by its UTF-8 bytes, which is the order of code points.
with counts as (
    select event_type, count(*) as events
    from pg.public.events
    where project_id = $project_id and occurred_at >= $begins_at and occurred_at < $ends_at
    group by event_type
)
select event_type, events as count
from counts
order by events desc, event_type
limit $limit
