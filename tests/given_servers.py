"""Postgres and Redis by address, in place of those that the tests start themselves.

TEST_DATABASE_URL holds a superuser's address or several with spaces between, each of a server
of its own: a transaction on a server holds back every mirror there, so two workers can't share one,
and there are as many workers as addresses. TEST_REDIS_URL holds one; a worker takes the database
with its number. Roles, databases and keys in them are the tests': name servers that hold nothing
else. Postgres must allow prepared transactions (max_prepared_transactions = 20). `pg_dump` and its
fellows are then the ones in PATH, which must be of the server's version.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from app.local.binaries import postgres_binary
from app.local.roles import OWNER, READER, WRITER
from app.local.servers import ServerUrls

POSTGRES, REDIS = "TEST_DATABASE_URL", "TEST_REDIS_URL"


def given() -> list[str]:
    """The addresses of Postgres; empty where the tests start servers of their own."""
    addresses = os.environ.get(POSTGRES, "").split()
    if bool(addresses) != bool(os.environ.get(REDIS)):
        message = f"Set both {POSTGRES} and {REDIS}, or neither for servers from wheels."
        raise pytest.UsageError(message)
    return addresses


def given_servers(worker: int) -> ServerUrls:
    """The servers of one worker, with the roles that the migrations know.

    Raises:
        pytest.UsageError: The roles are there, and not from an earlier run of the tests.
    """
    admin = given()[worker]
    urls = {role: _as_role(admin, role) for role in (OWNER, WRITER, READER)}
    with psycopg.connect(admin, autocommit=True) as connection:
        known = {name for (name,) in connection.execute("select rolname from pg_roles")}
        for role, url in urls.items():
            if role not in known:
                statement = sql.SQL("create role {} login password {}").format(
                    sql.Identifier(role), sql.Literal(urlsplit(url).password)
                )
                connection.execute(statement)
            _require_ours(role, url)
    redis = urlsplit(os.environ[REDIS])
    number = int(redis.path.strip("/") or 0) + worker
    return ServerUrls(
        owner=urls[OWNER],
        writer=urls[WRITER],
        reader=urls[READER],
        admin=admin,
        redis=urlunsplit(redis._replace(path=f"/{number}")),
    )


def _as_role(admin: str, role: str) -> str:
    """The address with a role of the tests', whose password any run finds again."""
    parts = urlsplit(admin)
    password = hashlib.sha256(f"{role}:{parts.password}".encode()).hexdigest()
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))


def _require_ours(role: str, url: str) -> None:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as error:
        message = (
            f"{POSTGRES} names a server whose role {role} isn't of these tests ({error});"
            " name one that holds nothing else"
        )
        raise pytest.UsageError(message) from error


def new_name(kind: str) -> str:
    """A database's name that no other worker or run has on the same server."""
    return f"tidemark_test_{kind}_{secrets.token_hex(5)}"


def postgres_tool(name: str) -> Path:
    """A program of the version of the tests' Postgres, such as `pg_dump`."""
    found = shutil.which(name) if given() else postgres_binary(name)
    assert found is not None, f"{name} is not in PATH"
    return Path(found)
