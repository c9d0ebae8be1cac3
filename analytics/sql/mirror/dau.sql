-- question: how many distinct users were active on each day?
-- answers: (day integer from 0, dau bigint), days without events absent
-- takes: project_id, first_day, last_day integer; table active_changes
-- relies on: active_counts, as many rows as the answer
with counts as (
    select period, users from active_counts
    where project_id = $project_id and grain = 'day' and period between $first_day and $last_day
    union all
    select period, users from active_changes
    where grain = 'day' and period between $first_day and $last_day
)
select period - $first_day as day, sum(users)::bigint as dau
from counts
group by period
order by period
