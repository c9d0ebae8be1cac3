-- question: as retention.sql, where nothing lies above the tidemark
-- answers: (cohort integer from 0, week integer from 0, users bigint), pairs without users absent
-- takes: project_id, first_day (of the first week), end_day (after the last), window integer
-- relies on: cohort_counts, a row a cell
-- why: as in dau.settled.sql
select (cohort - $first_day) // 7 as cohort, (period - cohort) // 7 as week, users
from cohort_counts
where
    project_id = $project_id and grain = 'week'
    and cohort >= $first_day and period < $end_day and period - cohort < 7 * $window
