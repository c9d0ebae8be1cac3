-- question: by how much do the numbers of users change in each period?
-- answers: temporary table active_changes (project_id integer, grain varchar, period integer, users bigint)
-- takes: grains varchar[]; table days
-- relies on: nothing: a row for each grain and row of days
create or replace temporary table active_changes as
with grains as (
    select unnest($grains) as grain
),
periods as (
    select
        project_id,
        user_key,
        grain,
        period_of(grain, day, week_start)::integer as period,
        bool_or(before > 0) as had,
        bool_or(after > 0) as has
    from days join calendars using (project_id) cross join grains
    group by all
)
select project_id, grain, period, sum(has::bigint - had::bigint)::bigint as users
from periods
where had <> has
group by all
having sum(has::bigint - had::bigint) <> 0
