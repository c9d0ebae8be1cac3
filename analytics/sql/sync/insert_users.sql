-- question: which users of these events does the dictionary lack?
-- answers: nothing; they are in it afterwards, with the next keys
-- takes: relation arrivals (project_id integer, user_id varchar, ...)
-- relies on: one scan of the dictionary, with the batch as the side that is hashed
insert into users
select (select coalesce(max(user_key), 0) from users) + row_number() over (), project_id, user_id, null, hash(user_id)
from (select distinct project_id, user_id from arrivals) as sent
anti join users using (project_id, user_id)
