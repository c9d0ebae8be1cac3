-- question: which events of the file are these?
-- answers: how many were deleted
-- takes: relation gone (project_id integer, event_id uuid, day, user_key integer, ingest_xid bigint)
-- relies on: the order of events by (project, day), which lets row groups of other days be skipped
-- why: the version is part of the match. By the id alone, an event that was removed and written again while an older
--   transaction stayed open would lose its living version. Day and user only let most of the table be skipped.
delete from events
using gone
where
    events.day = gone.day and events.user_key = gone.user_key and events.project_id = gone.project_id
    and events.event_id = gone.event_id and events.ingest_xid = gone.ingest_xid
