-- question: which events came and went, by the users' keys?
-- answers: temporary table changed (project_id, user_key integer, event_type varchar, us, sign bigint)
-- takes: relation batch, see pairs
-- relies on: one scan of the dictionary, with the batch as the side that is hashed
-- why: for raw columns, which need each event's instant; the keys are as in pairs
create or replace temporary table changed as
with people as (
    select
        batch.project_id,
        batch.user_id,
        coalesce(users.user_key, -row_number() over ())::integer as user_key
    from (select distinct project_id, user_id from batch) as batch
    left join users using (project_id, user_id)
)
select project_id, user_key, event_type, us, sign
from batch join people using (project_id, user_id)
