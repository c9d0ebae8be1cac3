-- question: which events came and went, by the users' keys?
-- answers: temporary table changed (project_id, user_key integer, event_type varchar, us, sign bigint)
-- takes: relation batch, see pairs; table keys
-- relies on: nothing: one pass over the batch
-- why: for raw columns, which need each event's instant
create or replace temporary table changed as
select keys.project_id, user_key, event_type, us, sign
from batch join keys using (person)
