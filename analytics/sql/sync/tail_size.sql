-- question: how much lies at or above the tidemark, for everybody and for one project?
-- answers: (rows, project_rows, removals, project_removals bigint), the first two counted up to `most_rows`
-- takes: horizon bigint (a transaction number); project_id, most_rows, most_removals integer
-- relies on: ix_events_ingest_xid, ix_events_removed_removed_xid
select added.*, removed.*
from
    (
        select count(*) as rows, count(*) filter (where project_id = {project_id}) as project_rows
        from (select project_id from events where ingest_xid >= {horizon}::text::xid8 limit {most_rows}) as looked_at
    ) as added,
    (
        select count(*) as removals, count(*) filter (where project_id = {project_id}) as project_removals
        from (select project_id from events_removed where removed_xid >= {horizon}::text::xid8 limit {most_removals}) as looked_at
    ) as removed
