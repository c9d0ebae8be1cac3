-- question: by how many events did each user's local days change?
-- answers: temporary table pairs (project_id, user_key, first_day, day integer, events bigint), changes of 0 absent
-- takes: relation batch (project_id integer, user_id, event_type varchar, us, day, sign bigint)
-- relies on: one scan of the dictionary, with the batch as the side that is hashed
-- why: a user that the dictionary lacks gets a negative key, for this transaction only
create or replace temporary table pairs as
with known as (
    select * from users where user_id in (select user_id from batch)
),
people as (
    select
        batch.project_id,
        batch.user_id,
        coalesce(known.user_key, -row_number() over ())::integer as user_key,
        known.first_day
    from (select distinct project_id, user_id from batch) as batch
    left join known using (project_id, user_id)
)
select project_id, user_key, first_day, day::integer as day, sum(sign)::bigint as events
from batch join people using (project_id, user_id)
group by all
having sum(sign) <> 0
