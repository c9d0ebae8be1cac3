"""DuckDB connections: pinned settings, Postgres attached read-only, locked down.

DuckDB here runs nothing but this package's own statements. Even so a database is locked before it
answers: no extension is ever fetched, no file is reached, nothing more attached, and no setting
changes afterwards. That is no sandbox for foreign SQL: with the Postgres extension loaded,
`postgres_scan` would still call any host.

Known defects that the settings here avoid, all in DuckDB 1.5.5 or its Postgres extension 41223e5:

- One statement with two Postgres scans may see two snapshots when scans go by ctid ranges,
  over several connections (duckdb-postgres 527). So a scan here is one COPY on one connection, and
  a test counts the scans. It is no slower: of 10M events all arrive in the same time, and a week's
  in 0.2 s instead of 0.7, for Postgres may use its index again.
- Rows of a large INSERT are seen by every transaction for a moment before they are committed; the
  mirror reads again what such a commit has overtaken (`analytics.mirror.store`).
- `common_subplan` merges arms of a UNION ALL that differ (duckdb 25819).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeAlias
from uuid import UUID

import duckdb
from psycopg.conninfo import make_conninfo

from analytics.conninfo import connection_parameters

VERSION: Final = "1.5.5"

# The secret's own fields, by their libpq names; everything else travels in ATTACH's text.
_SECRET_FIELDS: Final = {
    "host": "host",
    "hostaddr": "host",
    "port": "port",
    "dbname": "database",
    "user": "user",
    "password": "password",
}
_PARAMETER: Final = re.compile(r"\$(\w+)")

Literal: TypeAlias = int | str | datetime | UUID | Sequence["Literal"] | None


@dataclass(frozen=True, slots=True)
class DuckLimits:
    """What one DuckDB database may use. The defaults leave room for Postgres on 2 cores and 4 GB.

    Attributes:
        threads: worker threads.
        memory_megabytes: what queries may hold before they spill; buffers of a scan come on top.
        spill_megabytes: how much may be spilled to the disk.
    """

    threads: int = 2
    memory_megabytes: int = 512
    spill_megabytes: int = 10 * 1024


def open_database(
    spill_directory: Path, limits: DuckLimits, file: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A database, in memory or in a file, which is made where there is none; not yet locked.

    `spill_directory` must belong to this database alone. Use one `cursor()` a thread and query.

    Raises:
        RuntimeError: the installed DuckDB is another version than this package was written for.
        duckdb.Error: the file is in use, or isn't one of DuckDB's.
    """
    if duckdb.__version__ != VERSION:
        raise RuntimeError(
            f"DuckDB is {duckdb.__version__}, the Postgres extension fits {VERSION} only; "
            f"install duckdb=={VERSION}"
        )
    connection = duckdb.connect(
        file or ":memory:",
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "threads": limits.threads,
            "memory_limit": f"{limits.memory_megabytes}MiB",
            "temp_directory": str(spill_directory),
            "max_temp_directory_size": f"{limits.spill_megabytes}MiB",
        },
    )
    connection.execute("set global disabled_optimizers = 'common_subplan'")
    connection.execute("set global TimeZone = 'UTC'")
    # Without it what a build or a question held stays with the process: 22 MB of 323 when idle.
    connection.execute("set global allocator_background_threads = true")
    return connection


def attach_postgres(connection: duckdb.DuckDBPyConnection, url: str, application_name: str) -> None:
    """Load the Postgres extension, and attach `public` of the database at `url` as `pg`, read-only.

    The credentials travel in a secret, so that `duckdb_databases()` doesn't show them.

    Raises:
        duckdb.IOException: the server doesn't answer or doesn't let us in.
    """
    connection.load_extension(str(_extension()))
    connection.execute("set global pg_use_ctid_scan = false")
    parameters = connection_parameters(url, application_name)
    secret = {
        field: parameters[name] for name, field in _SECRET_FIELDS.items() if name in parameters
    }
    rest = {name: value for name, value in parameters.items() if name not in _SECRET_FIELDS}
    fields = "".join(f", {field} ${field}" for field in secret)
    connection.execute(f"create secret tidemark (type postgres{fields})", secret)
    conninfo = make_conninfo("", **rest)
    connection.execute(
        f"attach {quoted(conninfo)} as pg "
        "(type postgres, secret tidemark, read_only, schema 'public')"
    )


def lock_down(connection: duckdb.DuckDBPyConnection) -> None:
    """Let nothing else be attached, read or written from now on, and no setting be changed."""
    connection.execute("set global enable_external_access = false")
    connection.execute("set global lock_configuration = true")


def quoted(text: str) -> str:
    """A DuckDB string literal; for statements that can't bind, such as ATTACH."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name in a DuckDB statement, whatever it consists of."""
    return '"' + name.replace('"', '""') + '"'


def written(statement: str, values: Mapping[str, Literal]) -> str:
    """The statement with each `$name` as the value of that name, instants in UTC.

    To bind a value costs a tenth of a millisecond: for each DuckDB looks whether it is one of
    pandas', and where pandas isn't installed looks for that first.
    """
    return _PARAMETER.sub(lambda found: _literal(values[found[1]]), statement)


def _literal(value: Literal) -> str:
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, str | UUID):
        return quoted(str(value))
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value).lower()  # true and false as well
    return f"[{', '.join(map(_literal, value))}]"


@contextmanager
def transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A transaction that only reads: it is rolled back at the end, whatever happened.

    A cursor must never be closed inside a transaction. If the Postgres session is gone by then, the
    extension's destructor throws and the whole process is aborted (seen with 41223e5).
    """
    cursor.execute("begin")
    try:
        yield
    finally:
        # Fails where the session is gone; that is what the error under way says already.
        with suppress(duckdb.Error):
            cursor.execute("rollback")


def is_of_postgres(error: duckdb.Error) -> bool:
    """Whether Postgres, or the way to it, is to blame, or an interruption.

    The extension raises IOException where it can't connect, and the bare base class where a session
    was lost or refused a statement; DuckDB's own errors all have classes of their own.
    """
    return type(error) in {duckdb.Error, duckdb.IOException, duckdb.InterruptException}


def lacks_memory(error: duckdb.Error) -> bool:
    """Whether DuckDB was refused memory, by its own limit or by the machine.

    What Python is refused while it takes rows from DuckDB is of the bare base class.
    """
    return isinstance(error, duckdb.OutOfMemoryException) or (
        type(error) is duckdb.Error and "MemoryError" in str(error)
    )


def _extension() -> Path:
    """The extension's file in the wheel that carries it; DuckDB itself never looks for one."""
    folder = Path(str(files("duckdb_extension_postgres_scanner")))
    return folder / "extensions" / f"v{VERSION}" / "postgres_scanner.duckdb_extension"
