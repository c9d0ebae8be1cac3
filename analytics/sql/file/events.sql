-- question: by which keys, and on which local day, did the events happen?
-- answers: nothing; they are in the table kept afterwards, in the file's order
-- takes: staged; dictionaries users and event_types; first_day; offset_us, see analytics.sql.local_time
-- relies on: both dictionaries being hashed
-- why: days are counted from one before all of them, so that cutting division is flooring
create table kept as
select
    ((us + {offset_us} - {first_day} * 86400000000) // 86400000000 + {first_day})::integer as day,
    type_key,
    user_key,
    make_timestamp(us) as occurred_at
from staged join users using (user_id) join event_types using (event_type)
