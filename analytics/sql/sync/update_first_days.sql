-- question: what is each user's first day now?
-- answers: nothing; the dictionary knows the first day of every user afterwards
-- takes: table first_days
-- relies on: first_days being few: one pass over the dictionary
update users
set first_day = first_days.after
from first_days
where users.user_key = first_days.user_key and users.first_day is distinct from first_days.after
