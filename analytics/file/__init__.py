"""Events of a file or a data frame, without Postgres: read once, counted once, then asked.

reading   how a file is to be read: which columns, whose calendar, what of bad rows
columns   the file's own columns as SQL expressions for those of an event
source    a Parquet or CSV file, or a table in memory, as the relation `source`
load      its rows as events and roll-ups in a DuckDB database of their own
"""
