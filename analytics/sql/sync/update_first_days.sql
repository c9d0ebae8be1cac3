-- question: what is each user's first day now?
-- answers: nothing; the dictionary knows the first day of every user afterwards
-- takes: relation first_days (user_key, after integer): whose changes
-- relies on: first_days being few: one pass over the dictionary
update users
set first_day = first_days.after
from first_days
where users.user_key = first_days.user_key
