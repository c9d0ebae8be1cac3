-- question: which Postgres is this, how far is its history settled, and what does it keep for this mirror?
-- answers: one row; `timeline` is null on a server in recovery
-- takes: mirror_id uuid
-- relies on: nothing but single rows
-- why: what a crash takes back comes before a checkpoint, for a recovery ends with one; so as long as `checkpoint` is
--   the same, nothing was taken back. pg_control_checkpoint() would name the old timeline for a while after a promotion; the name of the WAL file
--   written now does not. `unguarded` counts the triggers that are missing or that a session can pass by: each partition
--   has all four of its own, as statements that name it pass by those of the whole table.
--   A table rewritten by DDL has another file; a trigger that was off for a while has another version of its row, and
--   so has one of a partition that came or was put back.
select
    control.system_identifier::text as system_identifier,
    case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline,
    (select oid::bigint from pg_database where datname = current_database()) as database_oid,
    'events'::regclass::oid::bigint as events_oid,
    epoch,
    concat_ws('.', guards.files, guards.versions) as events_definition,
    removed_floor::text::bigint as removed_floor,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xmax,
    (extract(epoch from transaction_timestamp()) * 1000000)::bigint as as_of_us,
    last.checkpoint_lsn::text as checkpoint,
    lease.token,
    lease.previous_token,
    guards.unguarded
from
    mirror_state
    cross join pg_control_system() as control
    cross join pg_control_checkpoint() as last
    cross join (
        select
            string_agg(pg_relation_filenode(tables.oid)::text, '.' order by tables.oid) as files,
            string_agg(triggers.versions, '.' order by tables.oid) as versions,
            sum(4 - triggers.enabled)::integer as unguarded
        from
            (select 'events'::regclass as oid union select relid from pg_partition_tree('events')) as tables
            cross join lateral (
                select
                    string_agg(xmin::text, '.' order by tgname) as versions,
                    count(*) filter (
                        where tgenabled = 'A' and tgname in (
                            'events_stamp_version', 'events_log_deleted', 'events_log_updated', 'events_start_epoch'
                        )
                    ) as enabled
                from pg_trigger
                where tgrelid = tables.oid and not tgisinternal
            ) as triggers
    ) as guards
    left join mirror_leases as lease on lease.id = {mirror_id}
