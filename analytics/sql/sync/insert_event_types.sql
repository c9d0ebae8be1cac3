-- question: which event types are new?
-- answers: nothing; they are in the dictionary afterwards
-- takes: relation newcomers (type_key integer, event_type varchar), which the dictionary lacks
-- relies on: nothing: rows are only added
insert into event_types
select type_key, event_type
from newcomers
