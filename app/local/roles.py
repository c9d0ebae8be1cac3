"""The roles of the local Postgres and the database they share.

What the roles may do with the tables is for the migrations to say.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from app.local.credentials import Credentials
from app.local.instance import DATABASE

OWNER = "tidemark_owner"
WRITER = "tidemark_writer"
READER = "tidemark_reader"


def provide(url: str, credentials: Credentials) -> None:
    """Create the roles and the database that are missing: a first start may have been killed.

    Args:
        url: The administrator's address of a database that exists always.
        credentials: The passwords the roles get.
    """
    passwords = {OWNER: credentials.owner, WRITER: credentials.writer, READER: credentials.reader}
    with psycopg.connect(url, autocommit=True) as connection:
        known = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for role, password in passwords.items():
            if role not in known:
                _create_role(connection, role, password)
        found = connection.execute("select 1 from pg_database where datname = %s", [DATABASE])
        if found.fetchone() is None:
            command = sql.SQL("create database {} owner {}")
            connection.execute(command.format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
        roles = sql.SQL(", ").join(map(sql.Identifier, passwords))
        command = sql.SQL("grant connect on database {} to {}")
        connection.execute(command.format(sql.Identifier(DATABASE), roles))


def _create_role(connection: psycopg.Connection, role: str, password: str) -> None:
    # Hashed on this side, so that a statement that fails can't carry the password into the log.
    secret = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    command = sql.SQL("create role {} login password {}")
    connection.execute(command.format(sql.Identifier(role), sql.Literal(secret)))
