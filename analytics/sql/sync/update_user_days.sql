-- question: how many events has each user on each local day now?
-- answers: nothing; the days of users add up rightly afterwards
-- takes: relation user_day_changes (project_id, day, user_key integer, events bigint)
-- relies on: nothing: rows are only added
-- why: rows are only added, also negative ones; compaction makes one of many
insert into recent_user_days
select project_id, day, user_key, events
from user_day_changes
order by project_id, day, user_key
