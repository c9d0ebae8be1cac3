"""Events into Postgres: source -> columns -> validate -> copy -> report, a module for each step.

A file or body comes in by `load` (any size, a commit per batch) or by `small` (a few events, all
or none). Every row read ends as exactly one of inserted, duplicate, rejected. This package knows
Arrow and Postgres and takes values: no web framework, no settings, no environment.
"""
