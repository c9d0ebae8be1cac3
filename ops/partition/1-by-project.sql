-- What follows runs beside a serving Tidemark, as the owner of the tables. docs/growth.md says when and why.
-- A partition for each project that is large or may have to go at once (here 1 and 2), one for all the others.
\set ON_ERROR_STOP on

create table events_partitioned (like events including defaults including constraints)
partition by list (project_id);
create table events_project_1 partition of events_partitioned for values in (1);
create table events_project_2 partition of events_partitioned for values in (2);
create table events_others partition of events_partitioned default;
