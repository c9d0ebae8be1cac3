-- question: who is new?
-- answers: nothing; they are in the dictionary afterwards
-- takes: relation newcomers (user_key, project_id integer, user_id varchar, first_day integer), whom the dictionary lacks
-- relies on: nothing: rows are only added
insert into users
select user_key, project_id, user_id, first_day, hash(user_id)
from newcomers
