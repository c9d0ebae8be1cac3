-- question: how many events of each type were there on each local day?
-- answers: nothing; it is in type_counts afterwards
-- takes: projects, a list of numbers in parentheses
-- relies on: two columns of events, sorted by what is grouped by
-- why: by name, which spares each question a join; the names are few and are packed as numbers anyway
insert into type_counts
select project_id, day, event_type, events
from
    (select project_id, day, type_key, count(*) as events from events where project_id in {projects} group by all) as by_key
    join event_types using (type_key)
order by all
