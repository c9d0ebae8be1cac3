-- Everything that is settled now, 4,000 pages a transaction: the longest step. Stopped, it is begun again after
-- truncate events_partitioned; delete from mirror_leases where id = '00000000-0000-0000-0000-00000000c0de';
\set ON_ERROR_STOP on

-- Copies keep their transaction numbers; the last step puts it back.
alter table events_partitioned drop constraint ck_events_ingest_xid;

-- The copy follows the table as a mirror does, so it holds a lease: nothing that it needs is pruned for a week.
insert into mirror_leases (id, horizon, token, expires_at)
select
    '00000000-0000-0000-0000-00000000c0de', pg_snapshot_xmin(pg_current_snapshot()), gen_random_uuid(),
    now() + interval '7 days';

-- Statements that name a partition pass by the triggers of the whole table: each gets its own.
create or replace function events_guard_partitions() returns integer
language plpgsql set search_path = public, pg_temp as $$
declare
    partition regclass;
    guarded integer := 0;
begin
    for partition in
        select relid from pg_partition_tree('events') where relid <> 'events'::regclass
        and not exists (select from pg_trigger where tgrelid = relid and tgname = 'events_log_deleted')
    loop
        execute format(
            'create trigger events_log_deleted after delete on %1$s referencing old table as removed
             for each statement execute function events_log_removed();
             create trigger events_log_updated after update on %1$s referencing old table as removed
             for each statement execute function events_log_removed();
             create trigger events_start_epoch after truncate on %1$s
             for each statement execute function events_start_epoch();
             alter table %1$s enable always trigger events_log_deleted;
             alter table %1$s enable always trigger events_log_updated;
             alter table %1$s enable always trigger events_start_epoch;',
            partition
        );
        guarded := guarded + 1;
    end loop;
    return guarded;
end $$;

do $$
declare
    pages constant bigint := pg_relation_size('events') / current_setting('block_size')::bigint;
    start xid8;
    place bigint := 0;
begin
    select horizon into strict start from mirror_leases where id = '00000000-0000-0000-0000-00000000c0de';
    while place <= pages loop
        insert into events_partitioned
        select * from events
        where
            ctid >= format('(%s,0)', place)::tid and ctid < format('(%s,0)', place + 4000)::tid
            and ingest_xid < start;
        commit;
        place := place + 4000;
    end loop;
end $$;

alter table events_partitioned add constraint pk_events_partitioned primary key (project_id, event_id);
create index ix_events_partitioned_ingest_xid on events_partitioned (ingest_xid);
create index ix_events_partitioned_occurred_at on events_partitioned using brin (occurred_at);
vacuum (analyze) events_partitioned;
