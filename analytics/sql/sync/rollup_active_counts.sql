-- question: how many users were active in each period?
-- answers: nothing; it is in active_counts afterwards
-- takes: projects, a list of numbers in parentheses; cohort_counts of these projects
-- relies on: cohort_counts, which are few
insert into active_counts
select project_id, grain, period, sum(users) as users
from cohort_counts where project_id in {projects}
group by all
order by all
