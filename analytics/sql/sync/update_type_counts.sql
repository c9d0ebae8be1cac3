-- question: how many events of each type are there now?
-- answers: nothing; the counts of events per type are right afterwards
-- takes: table type_changes, with every event type in the dictionary
-- relies on: the counts being few
merge into type_counts as counts
using (
    select project_id, day, type_key, events from type_changes join event_types using (event_type)
) as changes
on counts.project_id = changes.project_id and counts.day = changes.day and counts.type_key = changes.type_key
when matched and counts.events + changes.events = 0 then delete
when matched then update set events = counts.events + changes.events
when not matched then insert values (changes.project_id, changes.day, changes.type_key, changes.events)
