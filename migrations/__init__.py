"""The schema's history, run by Alembic.

A package only so that the installed product carries its migrations.
"""
