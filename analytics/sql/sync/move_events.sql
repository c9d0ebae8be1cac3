-- question: which local day is each event's by a new calendar?
-- answers: temporary table moved, the project's events with these days
-- takes: project_id integer; relation day_starts (us, day bigint), see analytics.mirror.local_days
-- relies on: an ASOF join with some hundred rows a year
create or replace temporary table moved as
select project_id, day_starts.day::integer as day, type_key, user_key, occurred_at, event_id, ingest_xid
from (select * exclude (day), epoch_us(occurred_at) as us from events where project_id = $project_id) as events
asof join day_starts on events.us >= day_starts.us
