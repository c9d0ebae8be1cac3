-- question: how many users of each cohort are active in each period now?
-- answers: nothing; the counts of users per cohort are right afterwards
-- takes: relation cohort_changes
-- relies on: the counts being few
merge into cohort_counts as counts
using cohort_changes as changes
on
    counts.project_id = changes.project_id and counts.grain = changes.grain
    and counts.cohort = changes.cohort and counts.period = changes.period
when matched and counts.users + changes.users = 0 then delete
when matched then update set users = counts.users + changes.users
when not matched then
    insert values (changes.project_id, changes.grain, changes.cohort, changes.period, changes.users)
