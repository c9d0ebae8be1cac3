-- question: which rows are no events, and why?
-- answers: (fault varchar, rows bigint, first bigint), the first of them first; rows count from 0
-- takes: staged; needs_id, takes_local boolean; most (characters), first_us, last_us (of an event)
-- relies on: nothing; only asked where something is wrong
with told as (
    select
        rowid as row,
        case
            when {needs_id} and event_id is null then 'event_id: missing'
            when us is null then 'occurred_at: missing, or no date and time like 2025-08-01T10:15:00Z'
            when is_local and not {takes_local} then 'occurred_at: names no zone'
            when us not between {first_us} and {last_us} then 'occurred_at: outside the years 1 to 9999'
            when user_id is null or user_id = '' then 'user_id: missing'
            when length(user_id) > {most} then 'user_id: longer than {most} characters'
            when contains(user_id, chr(0)) then 'user_id: contains NUL'
            when event_type is null or event_type = '' then 'event_type: missing'
            when length(event_type) > {most} then 'event_type: longer than {most} characters'
            when contains(event_type, chr(0)) then 'event_type: contains NUL'
        end as fault
    from staged
)
select fault, count(*) as rows, min(row) as first
from told
where fault is not null
group by fault
order by first, fault
