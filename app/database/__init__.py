"""The schema as SQLAlchemy sees it, the pools that talk to it, and its migrations."""
