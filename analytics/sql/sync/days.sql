-- question: who are these people in the file, and how many events did they have on each of the days that matter?
-- answers: (person, user_key, first_day, day integer, events bigint), as people.sql; a day of null for who has none
-- takes: since integer, the earliest of names; relation names (person, project_id integer, user_id varchar, since integer)
-- relies on: the order of user_days by (project, day), which lets row groups before `since` be skipped
-- why: keys are of one project each, so project_id is not read: each column costs a tenth of the whole
with known as (
    select * from users where name_hash in (select hash(user_id) from names)
),
people as materialized (
    select person, user_key, coalesce(first_day, 2147483647) as first_day, since
    from names join known using (project_id, user_id)
)
select
    people.person,
    any_value(people.user_key) as user_key,
    any_value(first_day) as first_day,
    day,
    sum(events)::bigint as events
from
    people left join user_days
    on user_days.user_key = people.user_key and day >= $since and day >= people.since
group by people.person, day
