-- question: how many events of each type were there on each local day?
-- answers: nothing; it is in type_counts afterwards
-- takes: table stale (project_id integer)
-- relies on: two columns of events, sorted by what is grouped by
insert into type_counts
select project_id, day, type_key, count(*)
from events semi join stale using (project_id)
group by all
order by all
