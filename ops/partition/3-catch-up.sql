-- What came and went since: run it again until it takes seconds. Removals first: an id may have come back.
\set ON_ERROR_STOP on

begin isolation level repeatable read;
delete from events_partitioned as copy
using events_removed as gone, mirror_leases as lease
where
    lease.id = '00000000-0000-0000-0000-00000000c0de' and gone.removed_xid >= lease.horizon
    and copy.project_id = gone.project_id and copy.event_id = gone.event_id and copy.ingest_xid = gone.ingest_xid;
insert into events_partitioned
select events.*
from events, mirror_leases as lease
where
    lease.id = '00000000-0000-0000-0000-00000000c0de'
    and events.ingest_xid >= lease.horizon and events.ingest_xid < pg_snapshot_xmin(pg_current_snapshot());
update mirror_leases set horizon = pg_snapshot_xmin(pg_current_snapshot())
where id = '00000000-0000-0000-0000-00000000c0de';
commit;
