"""How analytics reaches Postgres: the caller's URL, and patience with a limit."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

# A server that vanished without a word is given up after 10 + 3 * 5 seconds; what the URL says goes
# first.
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

# What is read as bytes is taken for UTF-8, whatever PGCLIENTENCODING or the URL says.
_ENCODING = {"client_encoding": "utf8"}


def connection_parameters(url: str, application_name: str) -> dict[str, str]:
    """Parameters of libpq by name: those of the URL, and defaults for patience and the name.

    Raises:
        psycopg.ProgrammingError: the text is neither.
    """
    given = conninfo_to_dict(url)
    completed = {"application_name": application_name, **_PATIENCE, **given, **_ENCODING}
    return {name: str(value) for name, value in completed.items() if value is not None}


def place(url: str) -> str:
    """Where the server is, for messages: its host and database, never a password."""
    parameters = conninfo_to_dict(url)
    return f"{parameters.get('host', 'its default socket')} ({parameters.get('dbname', 'default')})"
