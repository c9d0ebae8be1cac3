"""HTTP and processes: the API, the command line, the schema's tables and the local servers.

Only this package reads settings; `ingest` and `analytics` are handed values.
"""
