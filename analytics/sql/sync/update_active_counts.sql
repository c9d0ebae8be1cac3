-- question: how many users are active in each period now?
-- answers: nothing; the counts of active users are right afterwards
-- takes: relation active_changes
-- relies on: the counts being few
merge into active_counts as counts
using active_changes as changes
on counts.project_id = changes.project_id and counts.grain = changes.grain and counts.period = changes.period
when matched and counts.users + changes.users = 0 then delete
when matched then update set users = counts.users + changes.users
when not matched then insert values (changes.project_id, changes.grain, changes.period, changes.users)
