-- question: which event types are there?
-- answers: nothing; they are in the dictionary afterwards, with keys from 1
-- takes: staged
-- relies on: one pass over one column
insert into event_types
select row_number() over () as type_key, event_type
from (select distinct event_type from staged) as sent
