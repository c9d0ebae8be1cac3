-- question: how many events has each user on each local day?
-- answers: nothing; it is in user_days afterwards, one row each
-- takes: projects, a list of numbers in parentheses
-- relies on: three columns of events; the groups may spill
insert into user_days
select project_id, day, user_key, count(*)
from events where project_id in {projects}
group by all
order by all
