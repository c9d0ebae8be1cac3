-- The rest, and the names, in one transaction that nobody sees half of. If it can't have the table within three
-- seconds it gives up without harm: run it again.
\set ON_ERROR_STOP on

begin;
set local lock_timeout = '3s';
lock table events in access exclusive mode;

delete from events_partitioned as copy
using events_removed as gone, mirror_leases as lease
where
    lease.id = '00000000-0000-0000-0000-00000000c0de' and gone.removed_xid >= lease.horizon
    and copy.project_id = gone.project_id and copy.event_id = gone.event_id and copy.ingest_xid = gone.ingest_xid;
insert into events_partitioned
select events.*
from events, mirror_leases as lease
where lease.id = '00000000-0000-0000-0000-00000000c0de' and events.ingest_xid >= lease.horizon;
delete from mirror_leases where id = '00000000-0000-0000-0000-00000000c0de';

alter table events rename to events_whole;
alter index pk_events rename to pk_events_whole;
alter index ix_events_ingest_xid rename to ix_events_whole_ingest_xid;
alter index ix_events_occurred_at rename to ix_events_whole_occurred_at;
alter table events_partitioned rename to events;
alter index pk_events_partitioned rename to pk_events;
alter index ix_events_partitioned_ingest_xid rename to ix_events_ingest_xid;
alter index ix_events_partitioned_occurred_at rename to ix_events_occurred_at;

alter table events add constraint ck_events_ingest_xid check (ingest_xid = pg_current_xact_id()) not valid;
create trigger events_stamp_version before update on events
for each row execute function events_stamp_version();
create trigger events_log_deleted after delete on events referencing old table as removed
for each statement execute function events_log_removed();
create trigger events_log_updated after update on events referencing old table as removed
for each statement execute function events_log_removed();
create trigger events_start_epoch after truncate on events
for each statement execute function events_start_epoch();
alter table events enable always trigger events_stamp_version;
alter table events enable always trigger events_log_deleted;
alter table events enable always trigger events_log_updated;
alter table events enable always trigger events_start_epoch;
select events_guard_partitions();

grant select, delete on events to tidemark_writer;
grant insert (project_id, event_id, occurred_at, user_id, event_type, properties) on events to tidemark_writer;
grant select on events to tidemark_reader;
commit;
