-- question: how many events did these users have on each of the days that matter?
-- answers: (person, day integer, events bigint)
-- takes: since integer, the earliest of people; table people
-- relies on: the order of user_days by (project, day), which lets row groups before `since` be skipped
-- why: keys are of one project each, so project_id is not read: each column costs a tenth of the whole
select person, day, sum(events)::bigint as events
from user_days join people using (user_key)
where day >= $since and day >= people.since
group by person, day
