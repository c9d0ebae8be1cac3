-- question: how many events has each user on each local day?
-- answers: nothing; it is in user_days afterwards, one row each
-- takes: table stale (project_id integer)
-- relies on: three columns of events; the groups may spill
insert into user_days
select project_id, day, user_key, count(*)
from events semi join stale using (project_id)
group by all
order by all
