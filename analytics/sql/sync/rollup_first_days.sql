-- question: on which local day was each user's first event ever?
-- answers: nothing; it is in the dictionary afterwards
-- takes: projects, a list of numbers in parentheses; user_days of these projects
-- relies on: one pass over user_days and one over the dictionary
update users
set first_day = days.first_day
from (select user_key, min(day) as first_day from user_days where project_id in {projects} group by user_key) as days
where users.user_key = days.user_key
