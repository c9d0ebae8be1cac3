-- question: which users have no event any more?
-- answers: nothing; users without events are gone from the dictionary and the roll-ups afterwards
-- takes: relation first_days (user_key, after integer): whose changes
-- relies on: first_days being few: one pass over the dictionary
delete from users
using first_days
where users.user_key = first_days.user_key and first_days.after is null
