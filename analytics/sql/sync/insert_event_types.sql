-- question: which event types of these events does the dictionary lack?
-- answers: nothing; they are in it afterwards, with the next keys
-- takes: relation arrivals (event_type varchar, ...)
-- relies on: the dictionary being short
insert into event_types
select (select coalesce(max(type_key), 0) from event_types) + row_number() over (), event_type
from (select distinct event_type from arrivals) as sent
anti join event_types using (event_type)
