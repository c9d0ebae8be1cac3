-- question: how many distinct users were active on each day?
-- answers: (day integer from 0, dau bigint), days without events absent, rows of one day to be added up
-- takes: project_id, first_day, last_day integer; table active_changes
-- relies on: active_counts, as many rows as the answer
-- why: to group and order so few rows takes DuckDB as long as all the rest; the question does it in passing
select period - $first_day as day, users as dau from active_counts
where project_id = $project_id and grain = 'day' and period between $first_day and $last_day
union all
select period - $first_day as day, users as dau from active_changes
where grain = 'day' and period between $first_day and $last_day
