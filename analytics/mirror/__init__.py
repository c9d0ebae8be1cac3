"""The mirror: a columnar copy of events in a DuckDB file that is always exactly equal to Postgres.

It holds every event below a transaction number, its tidemark; what lies at or above that is read
from Postgres with each question. One module for each idea:

    home        which folder, and which file in it, belong to this process
    store       the file: opened, checked, read in transactions; what it says of itself
    layout      the file's tables
    state       what the file says of itself, and whether Postgres agrees
    columns     rows of Postgres as Arrow columns, by aggregates
    history     is this the same Postgres that the file was built from?
    look        what a question needs to see of Postgres: history, tail, removals, in one snapshot
    lease       what Postgres must keep for this file, and what may be pruned
    erasures    which files may hold somebody who was erased
    changes     what added and removed events do to the counts: one algorithm for sync and question
    sync        the file from one tidemark to the next, in one transaction
    build       a new file, read in ranges
    local_days  the local day of many instants at once
    calendars   the calendar that each project's roll-ups were made with
    rollups     every count of a project, computed afresh from its events
    verify      the invariant, by counts and hashes
    compaction  one sorted run out of many small ones
    plan        how a mirror is to be kept, and what can be heard of it
    keeper      all of that in the background of a process

docs/mirror.md explains the protocol and why it is exact.
"""
