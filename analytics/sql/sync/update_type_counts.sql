-- question: how many events of each type are there now?
-- answers: nothing; the counts of events per type are right afterwards
-- takes: relation type_changes
-- relies on: the counts being few
merge into type_counts as counts
using type_changes as changes
on counts.project_id = changes.project_id and counts.day = changes.day and counts.event_type = changes.event_type
when matched and counts.events + changes.events = 0 then delete
when matched then update set events = counts.events + changes.events
when not matched then insert values (changes.project_id, changes.day, changes.event_type, changes.events)
