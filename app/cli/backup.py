"""`tidemark backup` and `tidemark restore`: everything kept in Postgres, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import psycopg
import typer

from analytics.errors import Unreachable
from app.backup import Manifest, back_up
from app.backup import restore as restore_rows
from app.cli.ready import ready_servers
from app.database.migrate import newest_revision

FileArgument = Annotated[Path, typer.Argument(help="The backup's file.")]


def backup(file: FileArgument) -> None:
    """Write all projects, accounts, keys and events to a file, as of one moment.

    Takes no lock that keeps anybody waiting. The file is whole when it has its name, and readable
    by its owner alone: it holds password hashes and everybody's events.

    Example: tidemark backup 2026-11-24.tidemark
    """
    with ready_servers() as found:
        try:
            manifest = back_up(found.writer, file, _tell)
        except psycopg.OperationalError as error:
            raise Unreachable(f"Postgres went away: {error}. Try again.") from error
    typer.echo(f"{file}: {file.stat().st_size:,} bytes, as of {manifest.as_of}.")


def restore(file: FileArgument) -> None:
    """Write a backup into a database that has the schema and no rows, and check what was written.

    All of it is written or nothing. Mirrors of before are built anew.

    Example: tidemark restore 2026-11-24.tidemark
    """
    with ready_servers() as found:
        try:
            manifest = restore_rows(found.owner, file, newest_revision(), _tell)
        except psycopg.OperationalError as error:
            raise Unreachable(f"Postgres went away: {error}. Nothing was changed.") from error
    typer.echo(f"Restored and compared: {_rows(manifest):,} rows, as of {manifest.as_of}.")


def _rows(manifest: Manifest) -> int:
    return sum(table.rows for table in manifest.tables)


def _tell(table: str, rows: int) -> None:
    typer.echo(f"{table}: {rows:,} rows", err=True)
