-- question: how many distinct users were active on each day, as of the tidemark?
-- answers: (day integer from 0, dau bigint), days without events absent
-- takes: project_id, first_day, last_day integer
-- relies on: active_counts, as many rows as the answer
-- why: what lies above the tidemark is added by analytics.engines.added: as a second arm here it would cost DuckDB more than
--   all the rest
select period - $first_day as day, users as dau from active_counts
where project_id = $project_id and grain = 'day' and period between $first_day and $last_day
