-- question: which users are there?
-- answers: nothing; they are in the dictionary afterwards, with keys from 1
-- takes: staged
-- relies on: one pass over one column
-- why: the hash of the name is left out; only what arrives later would be found by it
insert into users by name
select row_number() over () as user_key, null as project_id, user_id, null as first_day
from (select distinct user_id from staged) as sent
