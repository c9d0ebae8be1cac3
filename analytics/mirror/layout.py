"""How the file is laid out. Another layout gets another number; files of other numbers are rebuilt.

The figures behind it stand in docs/mirror.md: plain UTC timestamps (arithmetic on TIMESTAMPTZ goes
through ICU, four times slower), users and event types as dense integers, rows sorted by (project,
day, event type, user) within each load, no key and no index (they cost space and speed, and DuckDB
1.5 loses their entries in some crashes).

| table         | a row                                                                            |
|---------------|----------------------------------------------------------------------------------|
| mirror        | the one row of what the file says of itself                                      |
| calendars     | a project: the calendar its days follow, and the tidemark of its last change     |
| users         | the dictionary of users, each with the local day of the first event ever         |
| event_types   | the dictionary of event types                                                    |
| events        | an event: keys instead of names, its UTC instant and its local day               |
| user_days     | events of a user on a local day; rows of one day add up, with the next table's   |
| recent_...    | recent_user_days: the same, of what was synced since user_days was made          |
| active_counts | users active in a period                                                         |
| cohort_counts | users first seen in the period `cohort` that were active in `period`             |
| type_counts   | events of a type on a local day                                                  |

Days, and the first days of weeks and months, are numbers: days since 1970-01-01, negative before.
A grain is day, week or month. Properties are not here: no question reads them, and they would make
the size of everything unbounded.

One more, `changed`, is always empty. A question of raw columns that has a tail puts a temporary
table of the same name before it, so its SQL is the same with and without one.
"""

from __future__ import annotations

from typing import Final, LiteralString

from analytics.duck import VERSION

# With DuckDB's version, for its hash of a name is another in another.
FORMAT: Final = f"6 of DuckDB {VERSION}"

LAYOUT: Final[LiteralString] = """
create table mirror (
    format varchar, mirror_id uuid, token uuid, horizon bigint, as_of timestamp,
    system_identifier varchar, timeline varchar, database_oid bigint, events_oid bigint, epoch uuid,
    events_definition varchar
);
create table calendars (
    project_id integer, timezone varchar, week_start varchar, tzdata varchar, changed_at bigint
);
create table users (
    user_key integer, project_id integer, user_id varchar using compression uncompressed,
    first_day integer, name_hash ubigint
);
create table event_types (type_key integer, event_type varchar);
create table events (
    project_id integer, day integer, type_key integer, user_key integer,
    occurred_at timestamp, event_id uuid, ingest_xid bigint
);
create table user_days (project_id integer, day integer, user_key integer, events bigint);
create table recent_user_days (project_id integer, day integer, user_key integer, events bigint);
create table active_counts (project_id integer, grain varchar, period integer, users bigint);
create table cohort_counts (
    project_id integer, grain varchar, cohort integer, period integer, users bigint
);
create table type_counts (project_id integer, day integer, event_type varchar, events bigint);
create table changed (
    project_id integer, user_key integer, event_type varchar, us bigint, sign bigint
);
create macro week_of(day, week_start) as
    day - ((day + if(week_start = 'sunday', 4, 3)) % 7 + 7) % 7;
create macro month_of(day) as
    (date_trunc('month', date '1970-01-01' + day)::date - date '1970-01-01')::integer;
create macro period_of(grain, day, week_start) as
    case grain when 'day' then day when 'week' then week_of(day, week_start) else month_of(day) end;
"""
