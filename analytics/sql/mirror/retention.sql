-- question: of the users whose first event ever fell into a week, how many were active in the weeks after it, as of the tidemark?
-- answers: (cohort integer from 0, week integer from 0, users bigint), pairs without users absent
-- takes: project_id, first_day (of the first week), end_day (after the last), window integer
-- relies on: cohort_counts, a row a cell
-- why: as in dau.sql
select (cohort - $first_day) // 7 as cohort, (period - cohort) // 7 as week, users
from cohort_counts
where
    project_id = $project_id and grain = 'week'
    and cohort >= $first_day and period < $end_day and period - cohort < 7 * $window
