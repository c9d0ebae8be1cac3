"""Everything that Tidemark keeps in Postgres, in one file that can be checked.

A backup is a ZIP file: a member for each table, as COPY writes text, and last a manifest with each
table's columns, number of rows, a SHA-256 of its member and a sum over its rows that doesn't
depend on their order. What belongs to one server alone stays out: transaction numbers, the log of
removals, the mirrors' leases.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
from psycopg import sql

from analytics.errors import Terminal
from app.database.tables import metadata

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_OF_ONE_SERVER: Final = frozenset({"events_removed", "mirror_state", "mirror_leases"})
_NUMBERED: Final = "ingest_xid"
_CHUNK_BYTES: Final = 1 << 20
_VERSION: Final = sql.SQL("select version_num, now() from alembic_version")
_NEXT_NUMBER: Final = sql.SQL(
    "select setval(pg_get_serial_sequence({literal}, {column_literal}),"
    " coalesce(max({column}), 0) + 1, false) from {table}"
)
_SESSION: Final = "set timezone = 'UTC'; set datestyle = 'ISO'; set statement_timeout = 0"

Told = Callable[[str, int], None]
"""Hears of each table when it is done, with its rows."""


class UnusableBackup(Terminal):
    """The file is no whole backup, or one of another version; nothing was changed."""

    code = "unusable_backup"


class DatabaseNotEmpty(Terminal):
    """A backup is restored into a database with the schema and without rows."""

    code = "database_not_empty"


class BackupExists(Terminal):
    """There is a file of this name already; choose another."""

    code = "backup_exists"


class RestoreDiffers(Terminal):
    """What was written is not what the backup holds; all of it was taken back."""

    code = "restore_differs"


@dataclass(frozen=True, slots=True)
class TableBackup:
    """What the manifest says of a table.

    Attributes:
        rows: how many.
        sum: over the MD5 of each row's text.
        sha256: of the member, unpacked.
    """

    name: str
    columns: tuple[str, ...]
    rows: int
    sum: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    revision: str
    as_of: str
    tables: tuple[TableBackup, ...]


def back_up(url: str, path: Path, told: Told) -> Manifest:
    """Write a backup, as of one snapshot; the file has its name once it is whole and on disk.

    Raises:
        BackupExists: There is a file of this name.
        psycopg.Error, OSError: What Postgres and the system say.
    """
    if path.exists():
        raise BackupExists(f"{path} exists already; choose another name.")
    draft = path.with_name(f"{path.name}.partial")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            manifest = _written(url, file, told)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _written(url: str, file: Any, told: Told) -> Manifest:
    with (
        _session(url) as connection,
        connection.transaction(),
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        connection.execute("set transaction isolation level repeatable read, read only")
        revision, as_of = _row(
            connection, sql.SQL("select version_num, now() from alembic_version")
        )
        tables = []
        for name, columns in _tables():
            tables.append(_table_written(connection, archive, name, columns))
            told(name, tables[-1].rows)
        manifest = Manifest(revision, as_of.astimezone(UTC).isoformat(), tuple(tables))
        archive.writestr(MANIFEST, orjson.dumps({"format": FORMAT, **asdict(manifest)}))
    return manifest


def _table_written(
    connection: psycopg.Connection, archive: zipfile.ZipFile, name: str, columns: tuple[str, ...]
) -> TableBackup:
    rows, total = _row(connection, _sum(name, columns))
    digest = hashlib.sha256()
    query = sql.SQL("copy (select {} from {}) to stdout").format(_list(columns), _name(name))
    with (
        archive.open(name, "w", force_zip64=True) as member,
        connection.cursor() as cursor,
        cursor.copy(query) as copy,
    ):
        for block in copy:
            digest.update(block)
            member.write(block)
    return TableBackup(name, columns, rows, total, digest.hexdigest())


def restore(url: str, path: Path, revision: str | None, told: Told) -> Manifest:
    """Write a backup's rows, as the owner, and check what was written: all of it or nothing.

    Events get transaction numbers of this server, and a new epoch begins: no mirror of before is
    believed.

    Raises:
        UnusableBackup: The file is damaged, or of another schema than `revision`.
        DatabaseNotEmpty: There are rows already.
        RestoreDiffers: What was written is not what was backed up.
        psycopg.Error, OSError: What Postgres and the system say.
    """
    manifest = checked(path)
    if manifest.revision != revision:
        raise UnusableBackup(
            f"{path} is of schema {manifest.revision}, this version of Tidemark has {revision};"
            " restore it with the version that wrote it, then upgrade."
        )
    with (
        zipfile.ZipFile(path) as archive,
        _session(url) as connection,
        connection.transaction(),
    ):
        for table in manifest.tables:
            _require_empty(connection, table.name)
        for table in manifest.tables:
            _table_restored(connection, archive, table)
            told(table.name, table.rows)
        connection.execute("update mirror_state set epoch = gen_random_uuid()")
        connection.execute("delete from mirror_leases")
    return manifest


def checked(path: Path) -> Manifest:
    """The manifest of a file whose members are all what it says.

    Raises:
        UnusableBackup: They aren't.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            document = orjson.loads(archive.read(MANIFEST))
            if document.pop("format") != FORMAT:
                raise UnusableBackup(f"{path} has a format that this version doesn't know.")
            tables = tuple(
                TableBackup(**{**each, "columns": tuple(each["columns"])})
                for each in document.pop("tables")
            )
            for table in tables:
                digest = hashlib.sha256()
                for block in _blocks(archive, table.name):
                    digest.update(block)
                if digest.hexdigest() != table.sha256:
                    raise UnusableBackup(f"{path} is damaged: {table.name} isn't what was written.")
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError) as error:
        raise UnusableBackup(
            f"{path} is no whole backup of Tidemark ({error}); nothing was changed."
        ) from error
    return Manifest(**document, tables=tables)


def _table_restored(
    connection: psycopg.Connection, archive: zipfile.ZipFile, table: TableBackup
) -> None:
    query = sql.SQL("copy {} ({}) from stdin").format(_name(table.name), _list(table.columns))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for block in _blocks(archive, table.name):
            copy.write(block)
    found = _row(connection, _sum(table.name, table.columns))
    if found != (table.rows, table.sum):
        raise RestoreDiffers(
            f"{table.name} has {found[0]:,} rows after the restore, the backup {table.rows:,}, or"
            " their contents differ; all of it was taken back."
        )
    for column in metadata.tables[table.name].columns:
        if column.identity is not None:
            connection.execute(
                _NEXT_NUMBER.format(
                    table=_name(table.name),
                    literal=sql.Literal(table.name),
                    column=sql.Identifier(column.name),
                    column_literal=sql.Literal(column.name),
                )
            )


def _require_empty(connection: psycopg.Connection, name: str) -> None:
    (filled,) = _row(connection, sql.SQL("select exists (select from {})").format(_name(name)))
    if filled:
        raise DatabaseNotEmpty(
            f"The table {name} has rows already; restore into a new database, after"
            " `tidemark migrate`."
        )


def _tables() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every table to keep, those that others refer to first, and its columns."""
    for table in metadata.sorted_tables:
        if table.name not in _OF_ONE_SERVER:
            yield table.name, tuple(c.name for c in table.columns if c.name != _NUMBERED)


def _sum(name: str, columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(
        "select count(*), coalesce(sum(('x' || substr(md5(kept::text), 1, 16))::bit(64)::bigint),"
        " 0)::text from (select {} from {}) as kept"
    ).format(_list(columns), _name(name))


def _blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    with archive.open(name) as member:
        while block := member.read(_CHUNK_BYTES):
            yield block


@contextmanager
def _session(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True, application_name="tidemark backup") as connection:
        connection.execute(_SESSION)
        yield connection


def _row(connection: psycopg.Connection, query: sql.SQL | sql.Composed) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101 - each of these queries has a row
    return row


def _list(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(table)
