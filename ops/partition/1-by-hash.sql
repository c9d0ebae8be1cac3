-- What follows runs beside a serving Tidemark, as the owner of the tables. docs/growth.md says when and why.
-- Sixteen pieces at most: every exact question looks into each (docs/growth.md has the figures).
\set ON_ERROR_STOP on

create table events_partitioned (like events including defaults including constraints)
partition by hash (event_id);
create table events_p0 partition of events_partitioned for values with (modulus 8, remainder 0);
create table events_p1 partition of events_partitioned for values with (modulus 8, remainder 1);
create table events_p2 partition of events_partitioned for values with (modulus 8, remainder 2);
create table events_p3 partition of events_partitioned for values with (modulus 8, remainder 3);
create table events_p4 partition of events_partitioned for values with (modulus 8, remainder 4);
create table events_p5 partition of events_partitioned for values with (modulus 8, remainder 5);
create table events_p6 partition of events_partitioned for values with (modulus 8, remainder 6);
create table events_p7 partition of events_partitioned for values with (modulus 8, remainder 7);
