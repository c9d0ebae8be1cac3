-- question: how many users' first days don't follow from events?
-- answers: (rows bigint)
-- takes: nothing
-- relies on: one pass over events and one over the dictionary
select count(*)
from users full join (select user_key, min(day) as first_day from events group by user_key) as found using (user_key)
where users.first_day is distinct from found.first_day
