-- question: is there any user or event type that no event may have?
-- answers: (bad bigint)
-- takes: most (characters); dictionaries users and event_types
-- relies on: their being short: what millions of rows say is checked once for each text
select
    (
        select count(*) from users
        where user_id is null or length(user_id) not between 1 and {most} or contains(user_id, chr(0))
    )
    + (
        select count(*) from event_types
        where event_type is null or length(event_type) not between 1 and {most} or contains(event_type, chr(0))
    ) as bad
