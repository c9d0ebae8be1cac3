-- question: which event types were the most frequent, as of the tidemark?
-- answers: (event_type varchar, count bigint), the most frequent first, ties by code point
-- takes: project_id, first_day, last_day, limit integer
-- relies on: type_counts, a row a day and type
-- why: as in dau.sql. Without a collation DuckDB orders text by its UTF-8 bytes, which is the order of code points
select event_type, sum(events)::bigint as count
from type_counts
where project_id = $project_id and day between $first_day and $last_day
group by event_type
having sum(events) > 0
order by count desc, event_type
limit $limit
